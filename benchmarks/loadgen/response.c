#define _GNU_SOURCE
#include "response.h"

#include <stdlib.h>
#include <string.h>

void response_begin(struct response *r)
{
    r->status = r->reading_body = r->saw_done = 0;
    r->events = 0;
    r->head_len = r->line_len = r->trailer_len = 0;
}

int response_ends_with_connection(const struct response *r)
{
    return r->reading_body && r->kind == BODY_UNTIL_CLOSE;
}

/* An event is a line that begins with "data:"; the line may be cut anywhere between two calls. */
static void scan_lines(struct response *r, const char *p, size_t n)
{
    while (n) {
        const char *end = memchr(p, '\n', n);
        size_t piece = end ? (size_t)(end - p) : n;
        if (r->line_len < LINE_START) {
            size_t room = LINE_START - r->line_len;
            memcpy(r->line + r->line_len, p, piece < room ? piece : room);
        }
        r->line_len += piece;
        if (!end)
            return;
        if (r->line_len >= 5 && !memcmp(r->line, "data:", 5)) {
            r->events++;
            if (r->line_len >= 12 && !memcmp(r->line, "data: [DONE]", 12))
                r->saw_done = 1;
        }
        r->line_len = 0;
        p += piece + 1;
        n -= piece + 1;
    }
}

static int hex_value(char ch)
{
    if (ch >= '0' && ch <= '9')
        return ch - '0';
    ch |= 0x20;
    return ch >= 'a' && ch <= 'f' ? ch - 'a' + 10 : -1;
}

/* Reads the line with a chunk's size; returns the bytes used. */
static size_t read_chunk_size(struct response *r, const char *p, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        int digit = hex_value(p[i]);
        if (p[i] == '\n') {
            r->chunk = r->remaining ? CHUNK_DATA : CHUNK_TRAILER;
            r->size_ended = 0;
            return i + 1;
        }
        if (digit < 0)
            r->size_ended = 1;
        else if (!r->size_ended)
            r->remaining = r->remaining * 16 + digit;
    }
    return n;
}

/* Reads the lines after the last chunk; returns 1 at the empty one. */
static int read_trailer(struct response *r, char ch)
{
    if (ch == '\n') {
        if (!r->trailer_len)
            return 1;
        r->trailer_len = 0;
    } else if (ch != '\r') {
        r->trailer_len++;
    }
    return 0;
}

static enum progress take_chunked(struct response *r, const char *p, size_t n)
{
    while (n) {
        size_t used = 1;
        switch (r->chunk) {
        case CHUNK_SIZE:
            used = read_chunk_size(r, p, n);
            break;
        case CHUNK_DATA:
            used = n < (size_t)r->remaining ? n : (size_t)r->remaining;
            scan_lines(r, p, used);
            r->remaining -= (long)used;
            if (!r->remaining)
                r->chunk = CHUNK_DATA_END;
            break;
        case CHUNK_DATA_END:
            if (*p == '\n')
                r->chunk = CHUNK_SIZE;
            break;
        case CHUNK_TRAILER:
            if (read_trailer(r, *p))
                return RESPONSE_COMPLETE;
            break;
        }
        p += used;
        n -= used;
    }
    return RESPONSE_MORE;
}

static enum progress take_body(struct response *r, const char *p, size_t n)
{
    if (r->kind == BODY_CHUNKED)
        return take_chunked(r, p, n);
    scan_lines(r, p, n);
    r->remaining -= (long)n;
    return r->kind == BODY_LENGTH && r->remaining <= 0 ? RESPONSE_COMPLETE : RESPONSE_MORE;
}

/* Reads from the header how the body will end. */
static void read_head(struct response *r)
{
    const char *length = strcasestr(r->head, "\ncontent-length:");
    r->status = atoi(r->head + strcspn(r->head, " "));
    r->reading_body = 1;
    r->chunk = CHUNK_SIZE;
    r->size_ended = 0;
    r->remaining = 0;
    r->kind = BODY_UNTIL_CLOSE;
    if (strcasestr(r->head, "\ntransfer-encoding: chunked")) {
        r->kind = BODY_CHUNKED;
    } else if (length) {
        r->kind = BODY_LENGTH;
        r->remaining = atol(length + sizeof "\ncontent-length:" - 1);
    }
}

enum progress response_feed(struct response *r, const char *p, size_t n)
{
    if (r->reading_body)
        return take_body(r, p, n);
    size_t before = r->head_len, room = HEAD_MAX - 1 - before, taken = n < room ? n : room;
    memcpy(r->head + before, p, taken);
    r->head_len += taken;
    r->head[r->head_len] = 0;
    char *end = strstr(r->head, "\r\n\r\n");
    if (!end)
        return r->head_len == HEAD_MAX - 1 ? RESPONSE_BROKEN : RESPONSE_MORE;
    size_t used = (size_t)(end - r->head) + 4 - before;
    end[2] = 0; /* one CRLF stays, so that the last field ends like the others */
    read_head(r);
    return take_body(r, p + used, n - used);
}
