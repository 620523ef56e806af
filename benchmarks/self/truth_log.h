/* What truth_server.c remembers: in memory while it serves, on disk when it ends.
 *
 * The file, in the machine's byte order, without padding:
 *     8 bytes "TRUTH/1\n"; u64 requests, token times, peak in flight, connections, writes that found a full socket
 *     per request: u64 arrival, finished (0: the client left), index of its first token time;
 *                  u32 connection, prompt tokens, tokens asked, tokens written
 *     per token:   u64 time; 0 where it was never written
 */
#ifndef TRUTH_LOG_H
#define TRUTH_LOG_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct record {
    uint64_t arrival_ns, finished_ns, first_time;
    uint32_t connection, prompt_tokens, tokens, written;
};

static struct {
    uint64_t requests, times, peak_in_flight, connections, full_sockets;
} totals;
static struct record *records;
static uint64_t *times;
static size_t records_room, times_room;

static void fail(const char *what) {
    perror(what);
    exit(1);
}

/* Room for `needed` items, doubled, so that adding one at a time is cheap. */
static void *grown(void *items, size_t *room, size_t needed, size_t item_bytes) {
    if (needed <= *room) return items;
    size_t wanted = *room ? *room : 1024;
    while (wanted < needed) wanted *= 2;
    items = realloc(items, wanted * item_bytes);
    if (!items) fail("memory");
    *room = wanted;
    return items;
}

/* Adds the last request counted in `totals`; its tokens are not written yet. */
static void log_request(uint64_t arrival_ns, uint32_t connection, uint32_t prompt_tokens, uint32_t tokens) {
    records = grown(records, &records_room, totals.requests, sizeof *records);
    times = grown(times, &times_room, totals.times + tokens, sizeof *times);
    memset(times + totals.times, 0, tokens * sizeof *times);
    records[totals.requests - 1] =
        (struct record){arrival_ns, 0, totals.times, connection, prompt_tokens, tokens, 0};
    totals.times += tokens;
}

/* The tokens of a request from its last written one to `end` were written at one time. */
static void log_tokens(size_t request, uint32_t end, uint64_t time_ns) {
    struct record *record = &records[request];
    while (record->written < end) times[record->first_time + record->written++] = time_ns;
}

static void write_log(const char *path) {
    FILE *file = fopen(path, "wb");
    if (!file) fail(path);
    fwrite("TRUTH/1\n", 1, 8, file);
    fwrite(&totals, sizeof totals, 1, file);
    fwrite(records, sizeof *records, totals.requests, file);
    fwrite(times, sizeof *times, totals.times, file);
    if (ferror(file) | fclose(file)) fail(path);
}

#endif
