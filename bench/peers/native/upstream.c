/* An OpenAI-compatible server that costs next to nothing, so that what is measured is the gateway in front of it.
 *
 * One thread, epoll, HTTP/1.1 with keep-alive. It prints its port and serves until its standard input ends.
 * POST .../chat/completions is answered whole or as a stream: the nonce found in the request, then the same word for
 * every further token, from a model of another name than the one asked for.
 * POST /set?tokens=N&pace_us=N&burst=N sets how long answers are, the time between a stream's events (0: as fast as
 * they are taken, one after the other of all streams), and how many events go into one write.
 * The program is told, and not the request, since each gateway passes on other names of models and other headers.
 * POST /reset begins the tally anew; GET /tally tells it. Any other request is a health check, and finds it well.
 */
#include "common.h"

#include <stdarg.h>

#define MODEL "fake-upstream-7b"

struct connection {
    int fd;
    struct buffer in, out;
    size_t head;    /* length of the request's head; 0 while it has not come */
    size_t body;    /* of the decoded body */
    size_t raw;     /* in `in`, up to where it is decoded */
    size_t wanted;  /* Content-Length */
    int is_chunked;
    struct chunked chunked;
    /* of the stream that is being sent */
    int streaming, wants_usage, blocked;
    unsigned sent, tokens, prompt_tokens;
    char nonce[NONCE_LENGTH];
    uint64_t due_ns;
    struct connection *next, *previous;
};

static unsigned tokens = 16, pace_us, burst = 1;
static unsigned long requests, streams, prompt_tokens, completion_tokens, events, aborted, unknown;
static int poll_fd, timer;
/* Streams that are to be sent something, the first due first. */
static struct connection ends = {.next = &ends, .previous = &ends};

static void enqueue(struct connection *c) {
    c->previous = ends.previous;
    c->next = &ends;
    c->previous->next = ends.previous = c;
}

static void dequeue(struct connection *c) {
    if (!c->next) return;
    c->previous->next = c->next;
    c->next->previous = c->previous;
    c->next = c->previous = NULL;
}

static void close_connection(struct connection *c) {
    aborted += (unsigned long)c->streaming;
    dequeue(c);
    close(c->fd);
    free(c->in.data);
    free(c->out.data);
    free(c);
}

/* Sends what waits; 0 where the connection is gone. */
static int flush(struct connection *c) {
    while (c->out.length) {
        ssize_t n = send(c->fd, c->out.data, c->out.length, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0 && errno == EAGAIN) {
            if (!c->blocked) watch(poll_fd, c->fd, EPOLLIN | EPOLLOUT, c, 1);
            c->blocked = 1;
            return 1;
        }
        if (n < 0) return 0;
        drop_front(&c->out, (size_t)n);
    }
    if (c->blocked) watch(poll_fd, c->fd, EPOLLIN, c, 1);
    c->blocked = 0;
    if (c->streaming && !c->next) enqueue(c);
    return 1;
}

__attribute__((format(printf, 2, 3))) static void print(struct connection *c, const char *format, ...) {
    char text[2048];
    va_list arguments;
    va_start(arguments, format);
    int n = vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    append(&c->out, text, (size_t)n);
}

static void answer(struct connection *c, const char *body, size_t length) {
    print(c, "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %zu\r\n\r\n", length);
    append(&c->out, body, length);
}

static void tell(struct connection *c) {
    char body[512];
    int n = snprintf(body, sizeof body,
        "{\"requests\":%lu,\"streams\":%lu,\"prompt_tokens\":%lu,\"completion_tokens\":%lu,\"events\":%lu,"
        "\"aborted\":%lu,\"unknown\":%lu}", requests, streams, prompt_tokens, completion_tokens, events, aborted, unknown);
    answer(c, body, (size_t)n);
}

static void whole_answer(struct connection *c) {
    static struct buffer body;
    char start[512], end[256];
    int n = snprintf(start, sizeof start,
        "{\"id\":\"chatcmpl-%.*s\",\"object\":\"chat.completion\",\"created\":1700000000,\"model\":\"" MODEL "\","
        "\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":\"%.*s",
        (int)NONCE_LENGTH, c->nonce, (int)NONCE_LENGTH, c->nonce);
    body.length = 0;
    append(&body, start, (size_t)n);
    for (unsigned i = 1; i < c->tokens; i++) append(&body, WORD, sizeof WORD - 1);
    n = snprintf(end, sizeof end,
        "\"},\"logprobs\":null,\"finish_reason\":\"stop\"}],\"usage\":{\"prompt_tokens\":%u,\"completion_tokens\":%u,"
        "\"total_tokens\":%u}}", c->prompt_tokens, c->tokens, c->prompt_tokens + c->tokens);
    append(&body, end, (size_t)n);
    answer(c, body.data, body.length);
    completion_tokens += c->tokens;
}

/* One event of a stream in a chunk of its own; `choices` and what follows it. */
static void event(struct connection *c, const char *rest, size_t length) {
    char start[160];
    int n = snprintf(start, sizeof start,
        "data: {\"id\":\"chatcmpl-%.*s\",\"object\":\"chat.completion.chunk\",\"created\":1700000000,\"model\":\"" MODEL
        "\",\"choices\":", (int)NONCE_LENGTH, c->nonce);
    char size[16];
    int digits = snprintf(size, sizeof size, "%zx\r\n", (size_t)n + length + 2);
    reserve(&c->out, (size_t)(n + digits) + length + 4);
    append(&c->out, size, (size_t)digits);
    append(&c->out, start, (size_t)n);
    append(&c->out, rest, length);
    append(&c->out, "\n\n\r\n", 4);
    events++;
}

static void begin_stream(struct connection *c) {
    static const char role[] = "[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"\"},\"finish_reason\":null}]}";
    print(c, "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\ntransfer-encoding: chunked\r\n\r\n");
    event(c, role, sizeof role - 1);
    streams++;
    c->streaming = 1;
    c->sent = 0;
    c->due_ns = now_ns() + pace_us * 1000ull;
    enqueue(c);
}

static void end_stream(struct connection *c) {
    static const char stop[] = "[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}";
    event(c, stop, sizeof stop - 1);
    if (c->wants_usage) {
        char usage[160];
        int n = snprintf(usage, sizeof usage,
            "[],\"usage\":{\"prompt_tokens\":%u,\"completion_tokens\":%u,\"total_tokens\":%u}}", c->prompt_tokens,
            c->tokens, c->prompt_tokens + c->tokens);
        event(c, usage, (size_t)n);
    }
    print(c, "e\r\ndata: [DONE]\n\n\r\n0\r\n\r\n");
    c->streaming = 0;
}

/* The next event of a stream; 0 where the connection is gone. */
static int go_on(struct connection *c) {
    static const char word[] = "[{\"index\":0,\"delta\":{\"content\":\"" WORD "\"},\"finish_reason\":null}]}";
    dequeue(c);
    for (unsigned i = 0; i < burst && c->sent < c->tokens; i++) {
        if (!c->sent) {
            char first[128];
            int n = snprintf(first, sizeof first, "[{\"index\":0,\"delta\":{\"content\":\"%.*s\"},\"finish_reason\":null}]}",
                (int)NONCE_LENGTH, c->nonce);
            event(c, first, (size_t)n);
        } else event(c, word, sizeof word - 1);
        c->sent++;
        completion_tokens++;
    }
    if (c->sent >= c->tokens) end_stream(c);
    else {
        c->due_ns += pace_us * 1000ull;
        enqueue(c);
    }
    return flush(c);
}

static unsigned long option(const char *path, size_t length, const char *name, unsigned long otherwise) {
    const char *found = memmem(path, length, name, strlen(name));
    return found ? strtoul(found + strlen(name), NULL, 10) : otherwise;
}

static int asks_for(const char *body, size_t length, const char *name) {
    const char *found = memmem(body, length, name, strlen(name));
    if (!found) return 0;
    found += strlen(name);
    while (found < body + length && (*found == ' ' || *found == ':')) found++;
    return found + 4 <= body + length && !memcmp(found, "true", 4);
}

static void chat(struct connection *c, const char *body, size_t length) {
    const char *nonce = memmem(body, length, NONCE, sizeof NONCE - 1);
    if (nonce && nonce + NONCE_LENGTH <= body + length) memcpy(c->nonce, nonce, NONCE_LENGTH);
    else {
        memcpy(c->nonce, NONCE "????????", NONCE_LENGTH);
        unknown++;
    }
    requests++;
    c->tokens = tokens;
    /* Not the same for all, so that a sum that is right by chance is unlikely. */
    c->prompt_tokens = 20 + (unsigned char)c->nonce[NONCE_LENGTH - 1] % 7;
    prompt_tokens += c->prompt_tokens;
    c->wants_usage = asks_for(body, length, "\"include_usage\"");
    if (asks_for(body, length, "\"stream\"")) begin_stream(c);
    else whole_answer(c);
}

static void serve(struct connection *c) {
    const char *line = c->in.data, *path = memchr(line, ' ', c->head);
    if (!path) return answer(c, "{}", 2);
    path++;
    const char *end = memchr(path, ' ', c->head - (size_t)(path - line));
    size_t length = end ? (size_t)(end - path) : 0;
    static const char completions[] = "/chat/completions";
    if (memmem(path, length, completions, sizeof completions - 1)) return chat(c, line + c->head, c->body);
    if (length >= 4 && !memcmp(path, "/set", 4)) {
        tokens = (unsigned)option(path, length, "tokens=", tokens);
        pace_us = (unsigned)option(path, length, "pace_us=", pace_us);
        burst = (unsigned)option(path, length, "burst=", burst);
        return tell(c);
    }
    if (length == 6 && !memcmp(path, "/reset", 6)) {
        requests = streams = prompt_tokens = completion_tokens = events = aborted = unknown = 0;
        return tell(c);
    }
    if (length == 6 && !memcmp(path, "/tally", 6)) return tell(c);
    static const char models[] = "{\"object\":\"list\",\"data\":[{\"id\":\"bench\",\"object\":\"model\",\"created\":1700000000,"
                                 "\"owned_by\":\"bench\"}]}";
    answer(c, models, sizeof models - 1);
}

/* Whether a whole request is there. */
static int complete(struct connection *c) {
    if (!c->head) {
        char *end = c->in.length ? memmem(c->in.data, c->in.length, "\r\n\r\n", 4) : NULL;
        if (!end) return 0;
        c->head = c->raw = (size_t)(end - c->in.data) + 4;
        const char *coding = header(c->in.data, c->head, "transfer-encoding");
        const char *wanted = header(c->in.data, c->head, "content-length");
        c->is_chunked = coding && !strncasecmp(coding, "chunked", 7);
        c->wanted = wanted ? strtoul(wanted, NULL, 10) : 0;
        c->chunked = (struct chunked){0};
        c->body = 0;
    }
    if (!c->is_chunked) {
        c->body = c->wanted;
        c->raw = c->head + c->wanted;
        return c->in.length >= c->raw;
    }
    size_t made, used = unchunk(&c->chunked, c->in.data + c->raw, c->in.length - c->raw, c->in.data + c->head + c->body, &made);
    c->raw += used;
    c->body += made;
    return c->chunked.state == OVER;
}

/* Reads and answers; 0 where the connection is gone. */
static int readable(struct connection *c) {
    reserve(&c->in, 16384);
    ssize_t n = recv(c->fd, c->in.data + c->in.length, c->in.room - c->in.length, 0);
    if (n < 0) return errno == EAGAIN || errno == EINTR;
    if (n == 0) return 0;
    c->in.length += (size_t)n;
    while (!c->streaming && complete(c)) {
        serve(c);
        drop_front(&c->in, c->raw);
        c->head = 0;
    }
    return flush(c);
}

static void accept_all(int listener) {
    for (int fd; (fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0;) {
        struct connection *c = calloc(1, sizeof *c);
        if (!c) die("out of memory");
        c->fd = fd;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
        watch(poll_fd, fd, EPOLLIN, c, 0);
    }
}

/* Sends every stream what is due; each gets one turn. Those that do not take what they were sent wait. */
static void send_due(void) {
    uint64_t now = now_ns();
    struct connection *last = ends.previous;
    for (struct connection *c = ends.next, *next; c != &ends && c->due_ns <= now; c = next) {
        next = c->next;
        int is_last = c == last;
        if (c->blocked) dequeue(c); /* until it has taken what it was sent */
        else if (!go_on(c)) close_connection(c);
        if (is_last) break;
    }
}

int main(void) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    many_files();
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    if (bind(listener, (struct sockaddr *)&address, size) || listen(listener, 4096)) die("listen");
    if (getsockname(listener, (struct sockaddr *)&address, &size)) die("getsockname");
    poll_fd = epoll_create1(0);
    timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK);
    watch(poll_fd, listener, EPOLLIN, &listener, 0);
    watch(poll_fd, timer, EPOLLIN, &timer, 0);
    int input = 0; /* its address is a mark; what is watched is standard input */
    watch(poll_fd, STDIN_FILENO, EPOLLIN, &input, 0);
    printf("%d\n", ntohs(address.sin_port));
    fflush(stdout);
    for (;;) {
        struct epoll_event ready[256];
        int at_once = ends.next != &ends && ends.next->due_ns <= now_ns();
        if (!at_once && ends.next != &ends) wake_at(timer, ends.next->due_ns);
        int n = epoll_wait(poll_fd, ready, 256, at_once ? 0 : -1);
        for (int i = 0; i < n; i++) {
            void *of = ready[i].data.ptr;
            if (of == &input) return 0;
            if (of == &listener) accept_all(listener);
            else if (of == &timer) (void)!read(timer, &(uint64_t){0}, 8);
            else {
                struct connection *c = of;
                int alive = !(ready[i].events & EPOLLOUT) || flush(c);
                if (alive && ready[i].events & ~(uint32_t)EPOLLOUT) alive = readable(c);
                if (!alive) close_connection(c);
            }
        }
        send_due();
    }
}
