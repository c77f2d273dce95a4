/* Reads one HTTP/1.1 response piece by piece and counts the server-sent events in its body. */
#ifndef LOADGEN_RESPONSE_H
#define LOADGEN_RESPONSE_H

#include <stddef.h>

enum { HEAD_MAX = 16384, LINE_START = 16 };
enum body_kind { BODY_LENGTH, BODY_CHUNKED, BODY_UNTIL_CLOSE };
enum chunk_state { CHUNK_SIZE, CHUNK_DATA, CHUNK_DATA_END, CHUNK_TRAILER };
enum progress { RESPONSE_MORE, RESPONSE_COMPLETE, RESPONSE_BROKEN };

struct response {
    int status;
    int reading_body;
    int saw_done; /* the event "[DONE]" has come */
    long events;
    enum body_kind kind;
    enum chunk_state chunk;
    long remaining; /* bytes of the body, or of the current chunk */
    int size_ended; /* what follows in a chunk's size line is not part of the number */
    size_t head_len, line_len, trailer_len;
    char line[LINE_START];
    char head[HEAD_MAX];
};

/* Prepares `r` for the next response on its connection. */
void response_begin(struct response *r);

/* Takes `n` bytes from the socket. */
enum progress response_feed(struct response *r, const char *p, size_t n);

/* Whether the end of the connection is a proper end of this response. */
int response_ends_with_connection(const struct response *r);

#endif
