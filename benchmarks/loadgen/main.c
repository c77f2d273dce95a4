/*
 * Closed-loop HTTP/1.1 load generator: one thread, epoll, keep-alive connections.
 *
 * Each connection sends the same request, reads the whole response, sends it again. After the window no request is
 * started any more, and those under way are read to their end, so that the server is idle when this program leaves.
 *
 * A request that lies partly in the window counts with the part of its duration that does ("served"): counting
 * only whole ones would quantise the rate of slow requests that run in step.
 *
 * usage: loadgen PORT PATH BODY_FILE HEADER_FILE CONNECTIONS WARM_S SECONDS MIN_EVENTS MAX_REQUESTS DRAIN_S SPREAD_S
 *   HEADER_FILE   extra header lines, each ended by CRLF; may be empty
 *   MIN_EVENTS    a response with fewer events, or without the final [DONE], is an error; 0 for plain responses
 *   MAX_REQUESTS  stop after so many requests in all; 0 is no limit
 *   SPREAD_S      the connections begin evenly within so many seconds; 0 starts all at once
 * Prints one JSON object; leaves with 0 unless the server cannot be reached at all.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "figures.h"
#include "response.h"

enum { READ_MAX = 65536, BATCH = 256, FILE_MAX = 1 << 20 };

struct connection {
    int fd;
    double sent_at, last_event_at;
    struct response response;
};

static int port, epoll_fd, active;
static long min_events, max_requests, started;
static char *request_bytes;
static size_t request_len;
static double window_start, window_end;
static struct figures figures;

static int in_window(double t)
{
    return t >= window_start && t < window_end;
}

static void open_connection(struct connection *c)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((unsigned short)port)};
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};
    int on = 1;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (c->fd < 0)
        die("socket");
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (connect(c->fd, (struct sockaddr *)&address, sizeof address))
        die("connect");
    fcntl(c->fd, F_SETFL, O_NONBLOCK);
    if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, c->fd, &event))
        die("epoll_ctl");
}

static void close_connection(struct connection *c)
{
    if (c->fd >= 0)
        close(c->fd);
    c->fd = -1;
}

/* Sends the next request, or retires the connection when there is nothing more to send. */
static void start_request(struct connection *c)
{
    double t = now_s();
    if (t >= window_end || (max_requests && started >= max_requests)) {
        close_connection(c);
        active--;
        return;
    }
    if (c->fd < 0)
        open_connection(c);
    response_begin(&c->response);
    c->sent_at = t;
    started++;
    if (write(c->fd, request_bytes, request_len) != (ssize_t)request_len)
        note_error(&figures, "the request was not taken in one write");
}

static void count_response(struct connection *c, double t)
{
    struct response *r = &c->response;
    figures.all_requests++;
    if (r->status != 200) {
        note_error(&figures, r->head);
        return;
    }
    if (min_events && (r->events < min_events || !r->saw_done)) {
        note_error(&figures, "a streamed response ended too early");
        return;
    }
    double from = c->sent_at > window_start ? c->sent_at : window_start;
    double to = t < window_end ? t : window_end;
    if (to > from)
        figures.served += (to - from) / (t - c->sent_at);
    if (in_window(t)) {
        figures.requests++;
        add_sample(&figures.latency, t - c->sent_at);
    }
}

static void count_events(struct connection *c, long before, double t)
{
    long fresh = c->response.events - before;
    if (!fresh)
        return;
    figures.all_events += fresh;
    if (in_window(t)) {
        figures.events += fresh;
        if (before)
            add_sample(&figures.gap, t - c->last_event_at);
        else
            add_sample(&figures.ttft, t - c->sent_at);
    }
    c->last_event_at = t;
}

static void on_broken(struct connection *c, const char *what)
{
    note_error(&figures, what);
    close_connection(c);
    start_request(c);
}

static void on_end_of_connection(struct connection *c, double t)
{
    if (!response_ends_with_connection(&c->response)) {
        on_broken(c, "the server closed the connection inside a response");
        return;
    }
    count_response(c, t);
    close_connection(c);
    start_request(c);
}

static void on_readable(struct connection *c, char *buffer)
{
    ssize_t n = read(c->fd, buffer, READ_MAX);
    double t = now_s();
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0) {
        on_end_of_connection(c, t);
        return;
    }
    long before = c->response.events;
    enum progress progress = response_feed(&c->response, buffer, (size_t)n);
    count_events(c, before, t);
    if (progress == RESPONSE_COMPLETE) {
        count_response(c, t);
        start_request(c);
    } else if (progress == RESPONSE_BROKEN) {
        on_broken(c, "the response header is too long");
    }
}

static char *read_file(const char *path, size_t *size)
{
    FILE *f = fopen(path, "rb");
    char *bytes = malloc(FILE_MAX);
    if (!f || !bytes)
        die(path);
    *size = fread(bytes, 1, FILE_MAX, f);
    fclose(f);
    return bytes;
}

static void build_request(const char *path, const char *body_file, const char *header_file)
{
    size_t body_len, headers_len;
    char *body = read_file(body_file, &body_len), *headers = read_file(header_file, &headers_len);
    static const char *fixed = "POST %.400s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nAccept: */*\r\n"
                               "Content-Type: application/json\r\nContent-Length: %zu\r\n";
    request_bytes = malloc(body_len + headers_len + 1024);
    if (!request_bytes)
        die("memory");
    request_len = (size_t)sprintf(request_bytes, fixed, path, port, body_len);
    memcpy(request_bytes + request_len, headers, headers_len);
    request_len += headers_len;
    memcpy(request_bytes + request_len, "\r\n", 2);
    memcpy(request_bytes + request_len + 2, body, body_len);
    request_len += 2 + body_len;
    free(body);
    free(headers);
}

/* Starts the connections whose time has come and returns how many have started by now. */
static int start_due(struct connection *all, int connections, int started, double begun, double spread_s)
{
    double t = now_s();
    while (started < connections && t >= begun + spread_s * started / connections)
        start_request(&all[started++]);
    return started;
}

static void run(int connections, double begun, double spread_s, double drain_s)
{
    static char buffer[READ_MAX];
    struct epoll_event ready[BATCH];
    struct connection *all = calloc((size_t)connections, sizeof *all);
    if (!all)
        die("memory");
    active = connections;
    for (int i = 0; i < connections; i++)
        all[i].fd = -1;
    int started = 0;
    while (active > 0 && now_s() < window_end + drain_s) {
        started = start_due(all, connections, started, begun, spread_s);
        int n = epoll_wait(epoll_fd, ready, BATCH, started < connections ? 1 : 100);
        for (int i = 0; i < n; i++)
            on_readable(ready[i].data.ptr, buffer);
    }
    figures.unfinished = active;
    if (active)
        note_error(&figures, "responses were still missing when the drain time ended");
}

int main(int argc, char **argv)
{
    if (argc != 12) {
        fputs("usage: loadgen PORT PATH BODY_FILE HEADER_FILE CONNECTIONS WARM_S SECONDS MIN_EVENTS MAX_REQUESTS DRAIN_S "
              "SPREAD_S\n", stderr);
        return 2;
    }
    signal(SIGPIPE, SIG_IGN);
    port = atoi(argv[1]);
    min_events = atol(argv[8]);
    max_requests = atol(argv[9]);
    build_request(argv[2], argv[3], argv[4]);
    epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (epoll_fd < 0)
        die("epoll_create1");
    double begun = now_s();
    window_start = begun + atof(argv[6]);
    window_end = window_start + atof(argv[7]);
    run(atoi(argv[5]), begun, atof(argv[11]), atof(argv[10]));
    double ended = now_s();
    figures.elapsed_s = ended - begun;
    figures.window_s = (max_requests && ended < window_end ? ended : window_end) - window_start;
    print_figures(&figures);
    return 0;
}
