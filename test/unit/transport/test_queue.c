#include <criterion/criterion.h>
#include <string.h>

#include "agent/transport/frame.h"
#include "agent/transport/queue.h"

static const uint8_t payload[60000];
static size_t budget;

static struct queue queue_with_budget(size_t bytes)
{
    budget = bytes;
    return (struct queue){.budget = &budget};
}

/* As a writer does. */
static void consume(struct queue *queue, size_t len)
{
    while (len) {
        const size_t committed = queue_commit(queue);
        const size_t taken = committed < len ? committed : len;
        queue_consume(queue, taken);
        len -= taken;
    }
}

Test(queue, frames_lie_in_one_run)
{
    struct queue queue = queue_with_budget(1u << 20);
    cr_assert_eq(queue_put_frame(&queue, (const uint8_t *)"abc", 3, 0), QUEUE_TAKEN);
    cr_assert_eq(queue_put_frame(&queue, NULL, 0, 0), QUEUE_TAKEN);
    cr_assert_eq(queue_put_frame(&queue, (const uint8_t *)"d", 1, 0), QUEUE_TAKEN);
    const uint8_t expected[] = {0, 3, 'a', 'b', 'c', 0, 0, 0, 1, 'd'};
    cr_assert_eq(queue_len(&queue), sizeof(expected));
    cr_assert_arr_eq(queue_head(&queue), expected, sizeof(expected));
    queue_clear(&queue);
}

Test(queue, content_survives_growing_and_compacting)
{
    struct queue queue = queue_with_budget(1u << 20);
    uint8_t expected = 0;
    uint8_t next = 0;
    for (unsigned round = 0; round < 2000; round++) {
        const uint8_t frame[700] = {next++};
        cr_assert_eq(queue_put_frame(&queue, frame, sizeof(frame), 0), QUEUE_TAKEN);
        if (round % 4 == 3 || round < 100)
            continue;
        cr_assert_eq(queue_head(&queue)[FRAME_HEADER_SIZE], expected++);
        consume(&queue, FRAME_HEADER_SIZE + sizeof(frame));
        if (queue_len(&queue) > 100000) {
            cr_assert_eq(queue_head(&queue)[FRAME_HEADER_SIZE], expected++);
            consume(&queue, FRAME_HEADER_SIZE + sizeof(frame));
        }
    }
    queue_clear(&queue);
    cr_assert_eq(budget, 1u << 20);
}

Test(queue, full_at_its_size)
{
    struct queue queue = queue_with_budget(16u << 20);
    const size_t fit = QUEUE_SIZE_MAX / (FRAME_HEADER_SIZE + sizeof(payload));
    for (size_t i = 0; i < fit; i++)
        cr_assert_eq(queue_put_frame(&queue, payload, sizeof(payload), 0), QUEUE_TAKEN);
    cr_assert_eq(queue_put_frame(&queue, payload, sizeof(payload), 0), QUEUE_FULL);
    for (size_t i = 0; i < 1000; i++) {
        queue_consume(&queue, queue_commit(&queue));
        cr_assert_eq(queue_put_frame(&queue, payload, sizeof(payload), 0), QUEUE_TAKEN);
    }
    cr_assert_leq(queue.capacity, 2 * QUEUE_SIZE_MAX);
    queue_clear(&queue);
    cr_assert_eq(budget, 16u << 20);
}

Test(queue, full_when_the_common_budget_is_used_up)
{
    struct queue first = queue_with_budget(96u * 1024);
    struct queue second = {.budget = &budget};
    cr_assert_eq(queue_put_frame(&first, payload, sizeof(payload), 0), QUEUE_TAKEN);
    cr_assert_eq(queue_put_frame(&second, payload, sizeof(payload), 0), QUEUE_FULL);
    queue_clear(&first);
    cr_assert_eq(queue_put_frame(&second, payload, sizeof(payload), 0), QUEUE_TAKEN);
    queue_clear(&second);
    cr_assert_eq(budget, 96u * 1024);
}

Test(queue, late_when_the_backlog_is_old)
{
    struct queue queue = queue_with_budget(1u << 20);
    cr_assert_eq(queue_put_frame(&queue, payload, 100, 1000), QUEUE_TAKEN);
    cr_assert_eq(queue_put_frame(&queue, payload, 100, 1000 + QUEUE_LATE_MS), QUEUE_TAKEN);
    cr_assert_eq(queue_put_frame(&queue, payload, 100, 1001 + QUEUE_LATE_MS), QUEUE_LATE);
    consume(&queue, 101); /* all but the last byte of the followed frame */
    cr_assert_eq(queue_put_frame(&queue, payload, 100, 1001 + QUEUE_LATE_MS), QUEUE_LATE);
    consume(&queue, 1);
    cr_assert_eq(queue_put_frame(&queue, payload, 100, 1001 + QUEUE_LATE_MS), QUEUE_TAKEN);
    queue_clear(&queue);
}

Test(queue, busy_but_moving_is_not_late)
{
    struct queue queue = queue_with_budget(1u << 20);
    for (uint64_t now_ms = 0; now_ms < 10 * QUEUE_LATE_MS; now_ms++) {
        cr_assert_eq(queue_put_frame(&queue, payload, 98, now_ms), QUEUE_TAKEN);
        if (now_ms >= 10) /* ten frames always wait */
            consume(&queue, 100);
    }
    queue_clear(&queue);
}

Test(queue, trim_frees_only_an_empty_queue)
{
    struct queue queue = queue_with_budget(1u << 20);
    queue_put_frame(&queue, payload, 10, 0);
    queue_trim(&queue);
    cr_assert_eq(queue_len(&queue), 12);
    consume(&queue, 12);
    queue_trim(&queue);
    cr_assert_null(queue.bytes);
    cr_assert_eq(budget, 1u << 20);
}

Test(queue, records_hold_whole_frames)
{
    struct queue queue = queue_with_budget(1u << 20);
    for (unsigned i = 0; i < 20; i++)
        queue_put_frame(&queue, payload, 1452, 0);
    cr_assert_eq(queue_commit(&queue), 11 * 1454, "as many as fit 16384 bytes");
    queue_put_frame(&queue, payload, 1, 0);
    cr_assert_eq(queue_commit(&queue), 11 * 1454, "the same until it is consumed");
    queue_consume(&queue, 11 * 1454);
    cr_assert_eq(queue_commit(&queue), 9 * 1454 + 3);
    queue_clear(&queue);
}

Test(queue, frame_longer_than_a_record_is_committed_whole)
{
    struct queue queue = queue_with_budget(1u << 20);
    queue_put_frame(&queue, payload, 40000, 0);
    queue_put_frame(&queue, payload, 10, 0);
    cr_assert_eq(queue_commit(&queue), 40002);
    queue_consume(&queue, QUEUE_RECORD_SIZE);
    cr_assert_eq(queue_commit(&queue), 40002 - QUEUE_RECORD_SIZE);
    queue_clear(&queue);
}

Test(queue, urgent_goes_before_all_that_is_not_committed)
{
    struct queue queue = queue_with_budget(1u << 20);
    queue_put_frame(&queue, (const uint8_t *)"first", 5, 0);
    queue_put_urgent(&queue, (const uint8_t *)"!", 1, 0);
    const uint8_t urgent_first[] = {0, 1, '!', 0, 5, 'f', 'i', 'r', 's', 't'};
    cr_assert_eq(queue_len(&queue), sizeof(urgent_first));
    cr_assert_arr_eq(queue_head(&queue), urgent_first, sizeof(urgent_first));
    cr_assert_eq(queue_commit(&queue), sizeof(urgent_first));
    queue_consume(&queue, 4); /* in the middle of a frame */
    queue_put_frame(&queue, (const uint8_t *)"last", 4, 0);
    queue_put_urgent(&queue, (const uint8_t *)"?", 1, 0);
    const uint8_t then[] = {5, 'f', 'i', 'r', 's', 't', 0, 1, '?', 0, 4, 'l', 'a', 's', 't'};
    cr_assert_eq(queue_len(&queue), sizeof(then));
    cr_assert_arr_eq(queue_head(&queue), then, sizeof(then));
    queue_clear(&queue);
}

Test(queue, urgent_is_taken_when_others_are_late)
{
    struct queue queue = queue_with_budget(1u << 20);
    queue_put_frame(&queue, payload, 100, 0);
    cr_assert_eq(queue_put_frame(&queue, payload, 100, QUEUE_LATE_MS + 1), QUEUE_LATE);
    cr_assert_eq(queue_put_urgent(&queue, payload, 32, QUEUE_LATE_MS + 1), QUEUE_TAKEN);
    consume(&queue, 34 + 101);
    cr_assert_eq(queue_put_frame(&queue, payload, 100, QUEUE_LATE_MS + 1), QUEUE_LATE,
                 "the followed frame has moved back, and is followed still");
    cr_assert_eq(queue_put_urgent(&queue, payload, 32, QUEUE_URGENT_LATE_MS + 1), QUEUE_LATE);
    queue_clear(&queue);
}
