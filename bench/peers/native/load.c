/* Sends chat requests over many connections, checks every answer, and tells how long things took.
 *
 * load --port=N --body=FILE --connections=N --seconds=S [--warmup=S] [--path=/v1/chat/completions] [--header="K: V"]...
 *      [--status=200] [--tokens=N] [--stream] [--contains=TEXT] [--rate=N] [--spread-us=N] [--once] [--patience=S]
 *
 * The body holds nonce-00000000, which becomes another one in each request and must come back in its answer, followed
 * by the words of upstream.c: whole answers must hold exactly this text, streams must be made of it. Other statuses
 * than 200 are expected with --status, and their bodies must hold the text of --contains.
 * Without --rate each connection sends its next request when the last one is answered; with it requests are due at
 * even intervals, and their latency counts from when they were due, so that a stall is seen in all that it delayed.
 * --once sends one request on each connection. Connections begin within --spread-us.
 * Prints `measuring` after the warm-up, `measured` at the end of the time, and the result as JSON when what was under
 * way has ended. Requests count that ended within the time, chunks (events with text) that arrived within it.
 */
#include "common.h"
#include "histogram.h"

#include <getopt.h>

struct connection {
    int fd, busy, is_chunked, until_close, must_close, sends;
    unsigned status;
    struct buffer out, in, body; /* `in` is the head; `body` what is kept of a body, or the rest of a line */
    size_t out_sent, left;
    struct chunked chunked;
    uint64_t began_ns, last_ns;
    char expected[NONCE_LENGTH + 1];
    size_t matched, bytes;
    unsigned texts;
    int wrong, done;
    struct connection *next_idle;
};

static struct {
    unsigned port, connections, status, tokens, spread_us;
    double seconds, warmup, rate, patience;
    int stream, once;
    const char *path, *contains, *file;
} told = {.status = 200, .tokens = 16, .path = "/v1/chat/completions", .connections = 32, .seconds = 2, .warmup = 0.5,
          .contains = "", .patience = 15};

static struct buffer headers, body_text, expected;
static size_t nonce_at;
static int poll_fd, timer;
static unsigned under_way, serial;
static unsigned long sent, ok, wrong, failed, reconnects, in_time, chunks, bytes, status_count[600];
static struct histogram latency, first, gap;
static uint64_t begin_ns, from_ns, until_ns, next_due_ns;
static struct buffer first_wrong;
static struct connection *idle;

static int measuring(uint64_t at_ns) { return at_ns >= from_ns && at_ns < until_ns; }

static void connect_to(struct connection *c) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    address.sin_port = htons((uint16_t)told.port);
    c->fd = socket(AF_INET, SOCK_STREAM, 0);
    if (c->fd < 0) die("socket");
    if (connect(c->fd, (struct sockaddr *)&address, sizeof address)) die("connect");
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
    fcntl(c->fd, F_SETFL, O_NONBLOCK);
    c->sends = 0;
    watch(poll_fd, c->fd, EPOLLIN, c, 0);
}

static void keep_wrong(struct connection *c, const char *why) {
    wrong += !c->wrong;
    c->wrong = 1;
    if (first_wrong.length) return;
    char text[1200];
    int n = snprintf(text, sizeof text, "%s: status %u after %zu bytes: %.*s", why, c->status, c->bytes,
        (int)(c->body.length < 900 ? c->body.length : 900), c->body.data ? c->body.data : "");
    append(&first_wrong, text, (size_t)n);
}

static void transmit(struct connection *c) {
    while (c->out_sent < c->out.length) {
        ssize_t n = send(c->fd, c->out.data + c->out_sent, c->out.length - c->out_sent, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0 && errno == EAGAIN) {
            if (!c->sends) watch(poll_fd, c->fd, EPOLLIN | EPOLLOUT, c, 1);
            c->sends = 1;
            return;
        }
        if (n < 0) return; /* reading tells */
        c->out_sent += (size_t)n;
    }
    if (c->sends) watch(poll_fd, c->fd, EPOLLIN, c, 1);
    c->sends = 0;
}

static void request(struct connection *c, uint64_t due_ns) {
    if (!c->out.length) {
        char line[512];
        int n = snprintf(line, sizeof line, "POST %s HTTP/1.1\r\nhost: 127.0.0.1:%u\r\ncontent-type: application/json\r\n"
            "content-length: %zu\r\n", told.path, told.port, body_text.length);
        append(&c->out, line, (size_t)n);
        append(&c->out, headers.data, headers.length);
        append(&c->out, "\r\n", 2);
        append(&c->out, body_text.data, body_text.length);
    }
    snprintf(c->expected, sizeof c->expected, NONCE "%0*u", NONCE_DIGITS, ++serial % 100000000u);
    memcpy(c->out.data + c->out.length - body_text.length + nonce_at, c->expected, NONCE_LENGTH);
    c->out_sent = c->in.length = c->body.length = c->matched = c->bytes = c->left = 0;
    c->texts = c->status = 0;
    c->wrong = c->done = 0;
    c->chunked = (struct chunked){0};
    c->began_ns = c->last_ns = due_ns;
    c->busy = 1;
    under_way++;
    sent++;
    transmit(c);
}

/* The text of one event or message: must go on where the last one ended. */
static void text_came(struct connection *c, const char *text, size_t length, uint64_t now) {
    if (!length) return;
    size_t in_nonce = c->matched < NONCE_LENGTH ? NONCE_LENGTH - c->matched : 0;
    if (in_nonce > length) in_nonce = length;
    size_t rest = length - in_nonce;
    if (c->matched + length > expected.length || memcmp(c->expected + c->matched, text, in_nonce)
        || memcmp(expected.data + c->matched + in_nonce, text + in_nonce, rest)) keep_wrong(c, "another text");
    c->matched += length;
    if (measuring(now)) {
        chunks++;
        if (measuring(c->began_ns)) record(c->texts ? &gap : &first, now - c->last_ns);
    }
    c->texts++;
    c->last_ns = now;
}

/* Finds the text in an event or in a whole answer; what it is made of needs no escapes. */
static void find_text(struct connection *c, const char *json, size_t length, uint64_t now) {
    static const char name[] = "\"content\":";
    const char *at = memmem(json, length, name, sizeof name - 1), *end = json + length;
    if (!at) return;
    at += sizeof name - 1;
    while (at < end && *at == ' ') at++;
    if (at == end || *at++ != '"') return;
    const char *quote = memchr(at, '"', (size_t)(end - at));
    if (quote) text_came(c, at, (size_t)(quote - at), now);
}

static void lines_came(struct connection *c, uint64_t now) {
    size_t done = 0;
    for (char *end; (end = memchr(c->body.data + done, '\n', c->body.length - done));) {
        char *line = c->body.data + done;
        size_t length = (size_t)(end - line);
        if (length > 5 && !memcmp(line, "data:", 5)) {
            if (memmem(line, length < 16 ? length : 16, "[DONE]", 6)) c->done = 1;
            else find_text(c, line + 5, length - 5, now);
        }
        done += length + 1;
    }
    drop_front(&c->body, done);
}

static void body_came(struct connection *c, const char *data, size_t length, uint64_t now) {
    append(&c->body, data, length);
    c->bytes += length;
    if (measuring(now)) bytes += length;
    if (told.stream && c->status == 200) lines_came(c, now);
}

static void start_next(struct connection *c, uint64_t now) {
    if (told.once || now >= until_ns) return;
    if (!told.rate) return request(c, now);
    c->next_idle = idle;
    idle = c;
}

static void ended(struct connection *c, uint64_t now) {
    reserve(&c->body, 1);
    if (told.status == 200 && c->status == 200 && !told.stream) find_text(c, c->body.data, c->body.length, now);
    if (c->status != told.status) keep_wrong(c, "another status");
    else if (told.status == 200 && c->matched != expected.length) keep_wrong(c, "not the whole text");
    else if (told.status == 200 && told.stream && !c->done) keep_wrong(c, "a stream without its end");
    else if (!memmem(c->body.data, c->body.length, told.contains, strlen(told.contains))) keep_wrong(c, "not the expected body");
    status_count[c->status < 600 ? c->status : 0]++;
    ok += !c->wrong;
    in_time += !c->wrong && measuring(now);
    if (!c->wrong && measuring(c->began_ns) && measuring(now)) record(&latency, now - c->began_ns);
    c->busy = 0;
    under_way--;
    if (c->must_close) {
        close(c->fd);
        connect_to(c);
        reconnects++;
    }
    start_next(c, now);
}

/* Reads the head; 0 where it has not come or is none. */
static int head_came(struct connection *c) {
    char *end = memmem(c->in.data, c->in.length, "\r\n\r\n", 4);
    if (!end) return 0;
    size_t length = (size_t)(end - c->in.data) + 4;
    c->status = (unsigned)strtoul(c->in.length > 9 ? c->in.data + 9 : "", NULL, 10);
    const char *coding = header(c->in.data, length, "transfer-encoding");
    const char *size = header(c->in.data, length, "content-length");
    const char *connection = header(c->in.data, length, "connection");
    c->is_chunked = coding && !strncasecmp(coding, "chunked", 7);
    c->until_close = !c->is_chunked && !size;
    c->left = size ? strtoul(size, NULL, 10) : 0;
    c->must_close = connection && !strncasecmp(connection, "close", 5);
    return (int)length;
}

static void gone(struct connection *c, uint64_t now) {
    if (c->busy && c->until_close && c->status) {
        c->must_close = 1;
        return ended(c, now);
    }
    close(c->fd);
    connect_to(c);
    reconnects++;
    if (!c->busy) return;
    failed++;
    keep_wrong(c, "connection closed");
    c->busy = 0;
    under_way--;
    start_next(c, now);
}

static void readable(struct connection *c) {
    static char data[262144], decoded[262144];
    ssize_t n = recv(c->fd, data, sizeof data, 0);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) return;
    uint64_t now = now_ns();
    if (n <= 0) return gone(c, now);
    if (!c->busy) return; /* nothing was asked for */
    char *at = data;
    size_t length = (size_t)n;
    if (!c->status) {
        size_t before = c->in.length;
        append(&c->in, data, length);
        int head = head_came(c);
        if (!head) return;
        at += (size_t)head - before;
        length -= (size_t)head - before;
        if (c->status == 100) { /* the answer follows */
            c->status = 0;
            c->in.length = 0;
            return;
        }
    }
    int is_over = 0;
    if (c->is_chunked) {
        size_t made;
        unchunk(&c->chunked, at, length, decoded, &made);
        body_came(c, decoded, made, now);
        if (c->chunked.state == BROKEN) keep_wrong(c, "broken chunks");
        is_over = c->chunked.state == OVER || c->chunked.state == BROKEN;
        c->must_close |= c->chunked.state == BROKEN;
    } else {
        body_came(c, at, length, now);
        if (!c->until_close) {
            c->left -= length < c->left ? length : c->left;
            is_over = !c->left;
        }
    }
    if (is_over) ended(c, now);
}

/* Sends what the rate has made due. */
static void send_due(uint64_t now) {
    uint64_t interval = (uint64_t)(1e9 / told.rate);
    while (idle && next_due_ns <= now && next_due_ns < until_ns) {
        struct connection *c = idle;
        idle = c->next_idle;
        request(c, next_due_ns);
        next_due_ns += interval;
    }
    if (idle && next_due_ns < until_ns) wake_at(timer, next_due_ns);
}

static void print_result(unsigned hanging) {
    printf("{\"sent\":%lu,\"ok\":%lu,\"wrong\":%lu,\"failed\":%lu,\"hanging\":%u,\"reconnects\":%lu,\"seconds\":%.6f,"
           "\"requests\":%lu,\"chunks\":%lu,\"bytes\":%lu,\"statuses\":{", sent, ok, wrong, failed, hanging, reconnects,
        (double)(until_ns - from_ns) / 1e9, in_time, chunks, bytes);
    for (unsigned i = 0, any = 0; i < 600; i++)
        if (status_count[i]) printf("%s\"%u\":%lu", any++ ? "," : "", i, status_count[i]);
    printf("},\"latency_us\":");
    print_histogram(&latency);
    printf(",\"first_us\":");
    print_histogram(&first);
    printf(",\"gap_us\":");
    print_histogram(&gap);
    printf(",\"first_wrong\":\"");
    for (size_t i = 0; i < first_wrong.length; i++) {
        unsigned char byte = (unsigned char)first_wrong.data[i];
        if (byte < 32 || byte > 126 || byte == '"' || byte == '\\') printf("\\u%04x", byte);
        else putchar(byte);
    }
    printf("\"}\n");
}

static void read_body(void) {
    FILE *file = fopen(told.file, "rb");
    if (!file) die(told.file);
    for (size_t n; (n = fread(reserve(&body_text, 65536), 1, 65536, file));) body_text.length += n;
    fclose(file);
    char *nonce = memmem(body_text.data, body_text.length, NONCE "00000000", NONCE_LENGTH);
    if (!nonce) {
        fprintf(stderr, "%s holds no " NONCE "00000000\n", told.file);
        exit(2);
    }
    nonce_at = (size_t)(nonce - body_text.data);
    append(&expected, NONCE "00000000", NONCE_LENGTH);
    for (unsigned i = 1; i < told.tokens; i++) append(&expected, WORD, sizeof WORD - 1);
}

static void read_options(int count, char **words) {
    static const struct option names[] = {{"port", 1, 0, 'p'}, {"body", 1, 0, 'b'}, {"connections", 1, 0, 'c'},
        {"seconds", 1, 0, 's'}, {"warmup", 1, 0, 'w'}, {"path", 1, 0, 'P'}, {"header", 1, 0, 'h'}, {"status", 1, 0, 'S'},
        {"tokens", 1, 0, 't'}, {"stream", 0, 0, 'm'}, {"contains", 1, 0, 'C'}, {"rate", 1, 0, 'r'},
        {"spread-us", 1, 0, 'u'}, {"once", 0, 0, 'o'}, {"patience", 1, 0, 'a'}, {0}};
    for (int found; (found = getopt_long(count, words, "", names, NULL)) != -1;) switch (found) {
        case 'p': told.port = (unsigned)atoi(optarg); break;
        case 'b': told.file = optarg; break;
        case 'c': told.connections = (unsigned)atoi(optarg); break;
        case 's': told.seconds = atof(optarg); break;
        case 'w': told.warmup = atof(optarg); break;
        case 'P': told.path = optarg; break;
        case 'h': append(&headers, optarg, strlen(optarg)); append(&headers, "\r\n", 2); break;
        case 'S': told.status = (unsigned)atoi(optarg); break;
        case 't': told.tokens = (unsigned)atoi(optarg); break;
        case 'm': told.stream = 1; break;
        case 'C': told.contains = optarg; break;
        case 'r': told.rate = atof(optarg); break;
        case 'u': told.spread_us = (unsigned)atoi(optarg); break;
        case 'o': told.once = 1; break;
        case 'a': told.patience = atof(optarg); break;
        default: exit(2);
    }
    if (!told.file || !told.port || !told.connections) {
        fprintf(stderr, "load: --port, --body and --connections are needed\n");
        exit(2);
    }
}

static unsigned say(const char *what, unsigned stage) {
    puts(what);
    fflush(stdout);
    return stage;
}

int main(int count, char **words) {
    read_options(count, words);
    read_body();
    many_files();
    append(&headers, "", 0);
    poll_fd = epoll_create1(0);
    timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK);
    watch(poll_fd, timer, EPOLLIN, &timer, 0);
    struct connection *all = calloc(told.connections, sizeof *all);
    for (unsigned i = 0; i < told.connections; i++) connect_to(&all[i]);
    begin_ns = next_due_ns = now_ns();
    from_ns = begin_ns + (uint64_t)(told.warmup * 1e9);
    until_ns = from_ns + (uint64_t)(told.seconds * 1e9);
    uint64_t give_up_ns = until_ns + (uint64_t)(told.patience * 1e9);
    unsigned started = 0, said = 0;
    for (;;) {
        uint64_t now = now_ns();
        if (said == 0 && now >= from_ns) said = say("measuring", 1);
        if (said == 1 && now >= until_ns) said = say("measured", 2);
        uint64_t begin_next = begin_ns + (uint64_t)started * told.spread_us * 1000u / told.connections;
        for (; started < told.connections && begin_next <= now; started++) {
            if (told.once) request(&all[started], now);
            else start_next(&all[started], now);
            begin_next = begin_ns + (uint64_t)(started + 1) * told.spread_us * 1000u / told.connections;
        }
        if (told.rate) send_due(now);
        else if (started < told.connections) wake_at(timer, begin_next);
        int all_sent = now >= until_ns || (told.once && started == told.connections);
        if ((all_sent && !under_way && said == 2) || now >= give_up_ns) break;
        struct epoll_event ready[256];
        uint64_t edge_ns = said == 0 ? from_ns : said == 1 ? until_ns : give_up_ns;
        int wait_ms = edge_ns > now ? (int)((edge_ns - now) / 1000000u) + 1 : 0;
        int n = epoll_wait(poll_fd, ready, 256, wait_ms);
        for (int i = 0; i < n; i++) {
            if (ready[i].data.ptr == &timer) {
                (void)!read(timer, &(uint64_t){0}, 8);
                continue;
            }
            struct connection *c = ready[i].data.ptr;
            if (ready[i].events & EPOLLOUT) transmit(c);
            if (ready[i].events & ~(uint32_t)EPOLLOUT) readable(c);
        }
    }
    print_result(under_way);
    return 0;
}
