/* The golden frame, written in C from docs/payload.md alone: what a helmet's firmware would do. */
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#pragma pack(push, 1)
struct header {
    char magic[2];
    uint8_t version, flags;
    char helmet[24];
    uint32_t boot, seq;
    int64_t t0_us;
    uint32_t period_ns;
    uint16_t count;
    uint8_t worn, strap;
    float full_scale_g, g_per_count, rad_s_per_count, peak_g;
    int32_t lat_e7, lon_e7;
    uint16_t accuracy_dm, speed_cmps;
    uint32_t position_age_ms;
    uint8_t battery_pct, reserved[3];
};
#pragma pack(pop)

static uint32_t crc32(const uint8_t *data, size_t size) {
    uint32_t crc = 0xFFFFFFFFu;
    for (size_t i = 0; i < size; i++) {
        crc ^= data[i];
        for (int bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >> 1) ^ 0xEDB88320u : crc >> 1;
    }
    return ~crc;
}

int main(void) {
    struct header h = {
        .magic = {'H', 'W'}, .version = 1, .flags = 1u << 1, .helmet = "SF-000001", .boot = 3, .seq = 41,
        .t0_us = 1790000000000000, .period_ns = 10000000, .count = 2, .worn = 2, .strap = 1,
        .full_scale_g = 16, .g_per_count = 1.0f / 2048, .rad_s_per_count = 0, .peak_g = 0.0f / 0.0f,
        .lat_e7 = 225431000, .lon_e7 = 1140579000, .accuracy_dm = 45, .speed_cmps = 610,
        .position_age_ms = 400, .battery_pct = 87,
    };
    const uint32_t nan_bits = 0x7FC00000u; /* compilers differ in the sign of 0/0 */
    memcpy(&h.peak_g, &nan_bits, 4);
    const int16_t acc[2][3] = {{0, -1, 2048}, {100, 200, 2000}};
    uint8_t frame[sizeof h + sizeof acc + 4];
    memcpy(frame, &h, sizeof h);
    memcpy(frame + sizeof h, acc, sizeof acc);
    const uint32_t crc = crc32(frame, sizeof h + sizeof acc);
    memcpy(frame + sizeof h + sizeof acc, &crc, 4);
    for (size_t i = 0; i < sizeof frame; i++) printf("%02x", frame[i]);
    printf("\n");
    return 0;
}
