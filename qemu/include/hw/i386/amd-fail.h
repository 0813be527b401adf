/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Failures at random, to see what software makes of them
 */
#ifndef HW_I386_AMD_FAIL_H
#define HW_I386_AMD_FAIL_H

/*
 * Whether the next operation fails: one of @rate does, 0: none.  @state begins
 * with a seed; the same seed and @stream always give the same sequence.
 * @choice is which of several failures it is.
 */
static inline bool amd_fail(uint32_t rate, uint64_t *state, unsigned stream,
                            uint32_t *choice)
{
    uint64_t z;

    if (!rate) {
        return false;
    }
    /* SplitMix64 */
    *state += 0x9e3779b97f4a7c15;
    z = *state ^ (uint64_t)stream << 48;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
    z = (z ^ z >> 27) * 0x94d049bb133111eb;
    z ^= z >> 31;
    *choice = z >> 32;
    return (uint32_t)z % rate == 0;
}

#endif
