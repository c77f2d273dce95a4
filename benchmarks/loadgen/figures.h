/* What one run has measured, and its JSON form. */
#ifndef LOADGEN_FIGURES_H
#define LOADGEN_FIGURES_H

#include <stddef.h>

enum { ERROR_TEXT = 200 };

struct samples {
    float *values; /* seconds */
    size_t count, capacity;
};

struct figures {
    double window_s, elapsed_s;
    double served; /* requests in the window, each with the part of its duration that lies in it */
    long requests, events;         /* that ended, and that arrived, in the window */
    long all_requests, all_events; /* in the whole run, with warm-up and drain */
    long errors, unfinished;
    struct samples ttft, latency, gap;
    char first_error[ERROR_TEXT + 1];
};

double now_s(void);
void die(const char *what);
void add_sample(struct samples *s, double seconds);

/* Counts an error; the first one is kept as text: it is what a person needs to see. */
void note_error(struct figures *f, const char *text);

void print_figures(struct figures *f);

#endif
