#include "figures.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

double now_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

void die(const char *what)
{
    fprintf(stderr, "loadgen: %s: %s\n", what, strerror(errno));
    exit(1);
}

void add_sample(struct samples *s, double seconds)
{
    if (s->count == s->capacity) {
        s->capacity = s->capacity ? s->capacity * 2 : 65536;
        s->values = realloc(s->values, s->capacity * sizeof *s->values);
        if (!s->values)
            die("memory");
    }
    s->values[s->count++] = (float)seconds;
}

void note_error(struct figures *f, const char *text)
{
    f->errors++;
    if (f->first_error[0])
        return;
    for (size_t n = 0; text[n] && n < ERROR_TEXT; n++) {
        int plain = text[n] >= ' ' && text[n] <= '~' && text[n] != '"' && text[n] != '\\';
        f->first_error[n] = plain ? text[n] : ' ';
    }
}

static int compare_floats(const void *a, const void *b)
{
    float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

static void print_quantiles(const char *name, struct samples *s)
{
    if (!s->count) {
        printf(",\"%s_p50_ms\":null,\"%s_p99_ms\":null", name, name);
        return;
    }
    qsort(s->values, s->count, sizeof *s->values, compare_floats);
    double last = (double)(s->count - 1);
    printf(",\"%s_p50_ms\":%.4f", name, s->values[(size_t)(last * 0.50 + 0.5)] * 1e3);
    printf(",\"%s_p99_ms\":%.4f", name, s->values[(size_t)(last * 0.99 + 0.5)] * 1e3);
}

void print_figures(struct figures *f)
{
    printf("{\"window_s\":%.4f,\"elapsed_s\":%.4f,\"served\":%.4f", f->window_s, f->elapsed_s, f->served);
    printf(",\"requests\":%ld,\"events\":%ld", f->requests, f->events);
    printf(",\"all_requests\":%ld,\"all_events\":%ld", f->all_requests, f->all_events);
    printf(",\"errors\":%ld,\"unfinished\":%ld,\"first_error\":\"%s\"", f->errors, f->unfinished, f->first_error);
    print_quantiles("ttft", &f->ttft);
    print_quantiles("latency", &f->latency);
    print_quantiles("gap", &f->gap);
    puts("}");
}
