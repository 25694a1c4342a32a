/* Times in buckets of about one per cent, so that recording costs nothing and any number of them fits. */
#ifndef BENCH_HISTOGRAM_H
#define BENCH_HISTOGRAM_H

#include <stdint.h>
#include <stdio.h>

#define STEPS 128 /* in each power of two */

struct histogram {
    uint64_t count, sum_ns, largest_ns;
    uint32_t buckets[64 * STEPS];
};

static unsigned bucket_of(uint64_t ns) {
    if (ns < STEPS) return (unsigned)ns;
    unsigned shift = 63u - (unsigned)__builtin_clzll(ns) - 7u;
    return (shift + 1) * STEPS + (unsigned)(ns >> shift) - STEPS;
}

static double middle_of(unsigned bucket) {
    if (bucket < STEPS) return bucket;
    unsigned shift = bucket / STEPS - 1;
    return ((double)(bucket % STEPS + STEPS) + 0.5) * (double)(1ull << shift);
}

static void record(struct histogram *h, uint64_t ns) {
    h->count++;
    h->sum_ns += ns;
    if (ns > h->largest_ns) h->largest_ns = ns;
    h->buckets[bucket_of(ns)]++;
}

static double percentile(const struct histogram *h, double share) {
    uint64_t seen = 0, wanted = (uint64_t)((double)h->count * share);
    for (unsigned i = 0; i < 64 * STEPS; i++)
        if ((seen += h->buckets[i]) > wanted) return middle_of(i);
    return (double)h->largest_ns;
}

static void print_histogram(const struct histogram *h) {
    if (!h->count) {
        printf("null");
        return;
    }
    printf("{\"count\":%lu,\"mean\":%.1f,\"p50\":%.1f,\"p90\":%.1f,\"p99\":%.1f,\"p999\":%.1f,\"max\":%.1f}",
        (unsigned long)h->count, (double)h->sum_ns / (double)h->count / 1e3, percentile(h, 0.5) / 1e3,
        percentile(h, 0.9) / 1e3, percentile(h, 0.99) / 1e3, percentile(h, 0.999) / 1e3, (double)h->largest_ns / 1e3);
}

#endif
