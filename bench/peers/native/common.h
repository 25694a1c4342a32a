/* What the fake upstream and the load generator share: a clock, buffers, header fields and the chunked coding. */
#ifndef BENCH_COMMON_H
#define BENCH_COMMON_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#define NONCE "nonce-"
#define NONCE_DIGITS 8
#define NONCE_LENGTH (sizeof NONCE - 1 + NONCE_DIGITS)
#define WORD " word"

static void die(const char *what) {
    fprintf(stderr, "%s: %s\n", what, strerror(errno));
    exit(2);
}

static uint64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* Bytes that grow. */
struct buffer {
    char *data;
    size_t length, room;
};

static char *reserve(struct buffer *b, size_t more) {
    if (b->length + more > b->room) {
        b->room = (b->length + more) * 2;
        b->data = realloc(b->data, b->room);
        if (!b->data) die("out of memory");
    }
    return b->data + b->length;
}

static void append(struct buffer *b, const void *data, size_t length) {
    memcpy(reserve(b, length), data, length);
    b->length += length;
}

static void drop_front(struct buffer *b, size_t length) {
    b->length -= length;
    if (length && b->length) memmove(b->data, b->data + length, b->length);
}

/* The value of a header field in a head that ends with an empty line; NULL where it is not there. */
static const char *header(const char *head, size_t length, const char *name) {
    const char *end = head + length, *line = head;
    size_t wanted = strlen(name);
    while ((line = memchr(line, '\n', (size_t)(end - line))) && ++line + wanted < end)
        if (!strncasecmp(line, name, wanted) && line[wanted] == ':') {
            line += wanted + 1;
            while (*line == ' ') line++;
            return line;
        }
    return NULL;
}

/* RFC 9112, section 7.1, a byte at a time but for the data. */
struct chunked {
    enum { SIZE, EXTENSION, DATA, DATA_END, TRAILER, TRAILER_LINE, OVER, BROKEN } state;
    size_t left;
};

static int hex_digit(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Decodes `length` bytes at `in` to `out`, which may be the same place. Tells how many were used and made. */
static size_t unchunk(struct chunked *c, const char *in, size_t length, char *out, size_t *made) {
    size_t i = 0;
    *made = 0;
    while (i < length && c->state != OVER && c->state != BROKEN) {
        if (c->state == DATA) {
            size_t n = length - i < c->left ? length - i : c->left;
            memmove(out + *made, in + i, n);
            *made += n;
            i += n;
            c->left -= n;
            if (!c->left) c->state = DATA_END;
            continue;
        }
        char byte = in[i++];
        switch (c->state) {
        case SIZE:
            if (hex_digit(byte) >= 0) {
                c->left = c->left * 16 + (size_t)hex_digit(byte);
                break;
            }
            c->state = EXTENSION; /* fall through */
        case EXTENSION:
            if (byte == '\n') c->state = c->left ? DATA : TRAILER;
            break;
        case DATA_END:
            if (byte == '\n') c->state = SIZE;
            else if (byte != '\r') c->state = BROKEN;
            break;
        case TRAILER:
            if (byte == '\n') c->state = OVER;
            else if (byte != '\r') c->state = TRAILER_LINE;
            break;
        case TRAILER_LINE:
            if (byte == '\n') c->state = TRAILER;
            break;
        default: break;
        }
    }
    return i;
}

static void many_files(void) {
    struct rlimit limit;
    if (!getrlimit(RLIMIT_NOFILE, &limit)) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
}

/* Makes the timer ready at that time of now_ns(); 0 is never. */
static void wake_at(int timer, uint64_t at_ns) {
    struct itimerspec when = {.it_value = {(time_t)(at_ns / 1000000000u), (long)(at_ns % 1000000000u)}};
    if (timerfd_settime(timer, TFD_TIMER_ABSTIME, &when, NULL)) die("timerfd_settime");
}

static void watch(int poll, int fd, uint32_t events, void *data, int change) {
    struct epoll_event event = {.events = events, .data.ptr = data};
    if (epoll_ctl(poll, change ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, fd, &event)) die("epoll_ctl");
}

#endif
