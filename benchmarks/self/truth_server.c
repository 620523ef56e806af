/* A streaming server of known truth: the OpenAI API as vLLM writes it, on a schedule that never drifts.
 *
 *     cc -O2 -std=c11 -Wall -Wextra -o truth_server truth_server.c
 *     ./truth_server --port 0 --ttft-ms 50 --itl-ms 10 --log truth.bin
 *
 * It prints `port N`, serves until SIGTERM or SIGINT, then writes its log and prints one JSON line of totals.
 * truth_log.h tells what is in the log, openai_text.h what it says and understands.
 *
 * Token k of a request is due at arrival + TTFT + k * ITL, an absolute time: a write that is late makes no later one
 * late. A request arrives when its last byte was read. A token's time is taken just before its bytes are handed to
 * the kernel, so that no client can honestly see it earlier. Times are of CLOCK_MONOTONIC [ns], which is the clock
 * of Python's time.perf_counter on Linux.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <getopt.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "openai_text.h"
#include "truth_log.h"

enum {
    EVENTS = 64,           /* looked at between two rounds of writes */
    WRITES = 32,           /* made between two looks: a burst of tokens must not delay the arrival of requests */
    MOST_PER_WRITE = 1024, /* tokens */
    READ_BYTES = 1 << 16,
    MODEL_LEN = 131072, /* context that /v1/models tells [tokens] */
};

struct connection {
    int fd;
    uint32_t id;
    char *in, *out; /* bytes not read as a request yet, and bytes that the socket would not take yet */
    size_t in_bytes, in_room, out_start, out_bytes, out_room;
    bool is_broken, closes, waits_to_write;
    /* The request under way; there is none where heap_place is 0. */
    struct asked asked;
    size_t heap_place, record;
    uint64_t arrival_ns, due_ns;
    uint32_t written; /* tokens */
};

static struct connection **heap; /* by due_ns, from place 1 on */
static size_t in_flight, heap_room;

static uint64_t ttft_ns = 50000000, itl_ns = 10000000;
static uint32_t per_write = 1; /* tokens */
static const char *log_path;
static int listener, poller, signals, timer;

static uint64_t now_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* ---- which request is due next: a binary heap */

static void place(struct connection *c, size_t at) {
    heap[at] = c;
    c->heap_place = at;
}

static void sift(struct connection *c, size_t at) {
    for (; at > 1 && heap[at / 2]->due_ns > c->due_ns; at /= 2) place(heap[at / 2], at);
    for (size_t child; (child = 2 * at) <= in_flight; at = child) {
        if (child < in_flight && heap[child + 1]->due_ns < heap[child]->due_ns) child++;
        if (heap[child]->due_ns >= c->due_ns) break;
        place(heap[child], at);
    }
    place(c, at);
}

static void push(struct connection *c) {
    heap = grown(heap, &heap_room, ++in_flight + 1, sizeof *heap);
    sift(c, in_flight);
    if (in_flight > totals.peak_in_flight) totals.peak_in_flight = in_flight;
}

static void take_out(struct connection *c) {
    size_t at = c->heap_place;
    struct connection *last = heap[in_flight--];
    if (last != c) sift(last, at);
    c->heap_place = 0;
}

/* ---- bytes out: what a full socket does not take is kept, and sent when it has room */

static void watch(struct connection *c, int how, bool waits_to_write) {
    struct epoll_event event = {.events = EPOLLIN | (waits_to_write ? EPOLLOUT : 0u), .data.ptr = c};
    c->waits_to_write = waits_to_write;
    if (epoll_ctl(poller, how, c->fd, &event)) fail("epoll_ctl");
}

static size_t sent(struct connection *c, const char *bytes, size_t count) {
    ssize_t taken = send(c->fd, bytes, count, MSG_NOSIGNAL);
    if (taken < 0 && errno != EAGAIN && errno != EINTR) c->is_broken = true;
    return taken > 0 ? (size_t)taken : 0;
}

static void put(struct connection *c, const char *bytes, size_t count) {
    size_t done = c->out_bytes ? 0 : sent(c, bytes, count);
    if (done == count || c->is_broken) return;
    totals.full_sockets++;
    size_t end = c->out_start + c->out_bytes;
    c->out = grown(c->out, &c->out_room, end + count - done, 1);
    memcpy(c->out + end, bytes + done, count - done);
    c->out_bytes += count - done;
    if (!c->waits_to_write) watch(c, EPOLL_CTL_MOD, true);
}

static void put_rest(struct connection *c) {
    size_t done = sent(c, c->out + c->out_start, c->out_bytes);
    c->out_start += done;
    c->out_bytes -= done;
    if (c->out_bytes) return;
    c->out_start = 0;
    watch(c, EPOLL_CTL_MOD, false);
}

static void reply(struct connection *c, const char *status, const char *body) {
    char text[1024];
    int bytes = snprintf(text, sizeof text,
                         "HTTP/1.1 %s\r\nserver: truth\r\ncontent-length: %zu\r\n"
                         "content-type: application/json\r\n\r\n%s",
                         status, strlen(body), body);
    put(c, text, (size_t)bytes);
}

/* ---- streamed answers */

/* The tokens of the next write: the first alone, then per_write at a time, due when the last of them is. */
static uint32_t next_tokens(const struct connection *c) {
    uint32_t left = c->asked.tokens - c->written;
    return c->written == 0 ? 1 : left < per_write ? left : per_write;
}

static void set_due(struct connection *c) {
    c->due_ns = c->arrival_ns + ttft_ns + (c->written + next_tokens(c) - 1) * itl_ns;
}

static void start_answer(struct connection *c) {
    static const char head[] = "HTTP/1.1 200 OK\r\nserver: truth\r\ncontent-type: text/event-stream; charset=utf-8\r\n"
                               "transfer-encoding: chunked\r\n\r\n";
    put(c, head, sizeof head - 1); /* at once, as vLLM does: long before the first token */
    c->written = 0;
    c->record = c->asked.id = totals.requests++;
    c->asked.created_s = time(NULL);
    if (log_path) log_request(c->arrival_ns, c->id, c->asked.prompt_tokens, c->asked.tokens);
    set_due(c);
    push(c);
}

/* Writes the tokens that are due; returns whether more are to come. */
static bool write_tokens(struct connection *c) {
    static char text[MOST_PER_WRITE * CHUNK_BYTES];
    uint32_t end = c->written + next_tokens(c);
    size_t bytes = 0;
    if (c->asked.is_chat && c->written == 0) put(c, text, role_text(text, &c->asked)); /* a write of its own */
    for (uint32_t token = c->written; token < end; token++) bytes += token_text(text + bytes, &c->asked, token);
    uint64_t time_ns = now_ns();
    put(c, text, bytes);
    c->written = end;
    if (c->is_broken) return false;
    if (log_path) log_tokens(c->record, end, time_ns);
    if (c->written < c->asked.tokens) {
        set_due(c);
        sift(c, c->heap_place);
        return true;
    }
    put(c, text, end_text(text, &c->asked));
    if (log_path) records[c->record].finished_ns = now_ns();
    take_out(c);
    return false;
}

/* ---- requests */

static void answer(struct connection *c, const char *request, const char *body, size_t body_bytes) {
    char text[256];
    bool is_chat = !strncmp(request, "POST /v1/chat/completions ", 26);
    bool is_tokenize = !strncmp(request, "POST /tokenize ", 15);
    if (is_chat || is_tokenize || !strncmp(request, "POST /v1/completions ", 21)) {
        c->asked.is_chat = is_chat || (is_tokenize && memmem(body, body_bytes, "\"messages\"", 10));
        read_body(&c->asked, body, body + body_bytes);
        if (is_tokenize) {
            snprintf(text, sizeof text, "{\"count\":%u,\"max_model_len\":%d}", c->asked.prompt_tokens, MODEL_LEN);
            reply(c, "200 OK", text);
        } else if (c->asked.streams && c->asked.tokens) {
            start_answer(c);
        } else {
            reply(c, "400 Bad Request", "{\"error\":{\"message\":\"needed: stream true, max_tokens of at least 1\"}}");
        }
    } else if (!strncmp(request, "GET /health ", 12)) {
        reply(c, "200 OK", "");
    } else if (!strncmp(request, "GET /version ", 13)) {
        reply(c, "200 OK", "{\"version\":\"1\"}");
    } else if (!strncmp(request, "GET /v1/models ", 15)) {
        snprintf(text, sizeof text,
                 "{\"object\":\"list\",\"data\":[{\"id\":\"truth\",\"object\":\"model\",\"created\":0,"
                 "\"owned_by\":\"truth-server\",\"root\":\"truth\",\"parent\":null,\"max_model_len\":%d}]}",
                 MODEL_LEN);
        reply(c, "200 OK", text);
    } else {
        reply(c, "404 Not Found", "{\"error\":{\"message\":\"no such page\"}}");
    }
}

/* Takes whole requests from the front of what has come in; the next one waits until the answer has ended. */
static void take_requests(struct connection *c) {
    while (c->in_bytes && !c->heap_place && !c->is_broken && !c->closes) {
        const char *head_end = memmem(c->in, c->in_bytes, "\r\n\r\n", 4);
        if (!head_end) break;
        size_t head = (size_t)(head_end - c->in) + 4;
        size_t body = body_bytes_of(c->in, head_end, &c->closes);
        if (body > MOST_BODY_BYTES) c->is_broken = true;
        if (c->is_broken || c->in_bytes < head + body) {
            c->closes = false; /* to be read again with the rest */
            break;
        }
        char next = c->in[head + body];
        c->in[head + body] = 0;
        c->arrival_ns = now_ns();
        answer(c, c->in, c->in + head, body);
        c->in[head + body] = next;
        c->in_bytes -= head + body;
        memmove(c->in, c->in + head + body, c->in_bytes);
    }
}

static void close_if_over(struct connection *c) {
    if (!c->is_broken && !(c->closes && !c->heap_place && !c->out_bytes)) return;
    if (c->heap_place) take_out(c);
    close(c->fd);
    free(c->in);
    free(c->out);
    free(c);
}

static void on_event(struct connection *c, uint32_t events) {
    if (events & EPOLLOUT) put_rest(c);
    if (events & (EPOLLIN | EPOLLHUP | EPOLLERR)) {
        c->in = grown(c->in, &c->in_room, c->in_bytes + READ_BYTES + 1, 1); /* one more, for a zero behind a body */
        ssize_t bytes = recv(c->fd, c->in + c->in_bytes, READ_BYTES, 0);
        if (bytes > 0) c->in_bytes += (size_t)bytes;
        if (bytes == 0 || (bytes < 0 && errno != EAGAIN && errno != EINTR)) c->is_broken = true;
        if (c->in_bytes > 2u * MOST_BODY_BYTES) c->is_broken = true;
        take_requests(c);
    }
    close_if_over(c);
}

static void accept_all(void) {
    for (int fd; (fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0;) {
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
        struct connection *c = calloc(1, sizeof *c);
        if (!c) fail("memory");
        c->fd = fd;
        c->id = (uint32_t)totals.connections++;
        watch(c, EPOLL_CTL_ADD, false);
    }
    if (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED) fail("accept");
}

/* ---- the loop */

static void write_due(void) {
    for (int writes = 0; writes < WRITES && in_flight && heap[1]->due_ns <= now_ns(); writes++) {
        struct connection *c = heap[1];
        if (write_tokens(c)) continue;
        take_requests(c);
        close_if_over(c);
    }
}

static void serve(void) {
    struct epoll_event events[EVENTS];
    uint64_t armed_ns = 0, expirations;
    for (;;) {
        bool is_due = in_flight && heap[1]->due_ns <= now_ns();
        if (in_flight && !is_due && heap[1]->due_ns != armed_ns) {
            armed_ns = heap[1]->due_ns;
            struct itimerspec at = {.it_value = {(time_t)(armed_ns / 1000000000u), (long)(armed_ns % 1000000000u)}};
            timerfd_settime(timer, TFD_TIMER_ABSTIME, &at, NULL);
        }
        int count = epoll_wait(poller, events, EVENTS, is_due ? 0 : -1);
        for (int i = 0; i < count; i++) {
            void *source = events[i].data.ptr;
            if (source == &signals) return;
            if (source == &listener) accept_all();
            else if (source != &timer) on_event(source, events[i].events);
            else if (read(timer, &expirations, sizeof expirations) > 0) armed_ns = 0;
        }
        write_due();
    }
}

static void watch_own(int *fd) {
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = fd};
    if (*fd < 0 || epoll_ctl(poller, EPOLL_CTL_ADD, *fd, &event)) fail("epoll");
}

static void start(int port) {
    struct rlimit files;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    prctl(PR_SET_PDEATHSIG, SIGTERM); /* no server outlives the benchmark that started it */
    sigset_t ends;
    sigemptyset(&ends);
    sigaddset(&ends, SIGTERM);
    sigaddset(&ends, SIGINT);
    sigprocmask(SIG_BLOCK, &ends, NULL);

    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t bytes = sizeof address;
    listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &(int){1}, sizeof(int));
    if (bind(listener, (struct sockaddr *)&address, bytes) || listen(listener, 4096)) fail("listen");
    getsockname(listener, (struct sockaddr *)&address, &bytes);

    poller = epoll_create1(EPOLL_CLOEXEC);
    timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    signals = signalfd(-1, &ends, SFD_CLOEXEC);
    watch_own(&listener);
    watch_own(&timer);
    watch_own(&signals);
    printf("port %d\n", ntohs(address.sin_port));
    fflush(stdout);
}

int main(int count, char **arguments) {
    static const struct option options[] = {{"port", required_argument, NULL, 'p'},
                                            {"ttft-ms", required_argument, NULL, 't'},
                                            {"itl-ms", required_argument, NULL, 'i'},
                                            {"tokens-per-write", required_argument, NULL, 'w'},
                                            {"log", required_argument, NULL, 'l'},
                                            {NULL, 0, NULL, 0}};
    int port = 0, option;
    while ((option = getopt_long(count, arguments, "", options, NULL)) != -1) {
        if (option == 'p') port = atoi(optarg);
        else if (option == 't') ttft_ns = (uint64_t)(atof(optarg) * 1e6);
        else if (option == 'i') itl_ns = (uint64_t)(atof(optarg) * 1e6);
        else if (option == 'w') per_write = (uint32_t)atoi(optarg);
        else if (option == 'l') log_path = optarg;
        else return 2;
    }
    if (optind < count || per_write < 1 || per_write > MOST_PER_WRITE) return 2;
    start(port);
    serve();
    if (log_path) write_log(log_path);
    printf("{\"requests\":%" PRIu64 ",\"peak_in_flight\":%" PRIu64 ",\"connections\":%" PRIu64
           ",\"full_sockets\":%" PRIu64 "}\n",
           totals.requests, totals.peak_in_flight, totals.connections, totals.full_sockets);
    return 0;
}
