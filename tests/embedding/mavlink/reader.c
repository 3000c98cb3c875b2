/* Reads MAVLink messages from standard input with the code that mavgen writes, and prints their fields.
 * With an argument, 64 hexadecimal digits, it takes only what is signed with that key. */
#include <stdio.h>
#include <string.h>

#include "common/mavlink.h"

static bool nothing_unsigned(const mavlink_status_t *status, uint32_t message) {
    (void)status, (void)message;
    return false;
}

static void print(const mavlink_message_t *message) {
    printf("%u %u.%u", message->msgid, message->sysid, message->compid);
    if (message->msgid == MAVLINK_MSG_ID_LANDING_TARGET) {
        mavlink_landing_target_t t;
        mavlink_msg_landing_target_decode(message, &t);
        printf(" %llu %u %u %.7g %.7g %.7g %.7g %.7g %.7g %.7g %.7g", (unsigned long long)t.time_usec, t.target_num,
               t.frame, t.angle_x, t.angle_y, t.distance, t.size_x, t.size_y, t.x, t.y, t.z);
        printf(" %g %g %g %g %u %u", t.q[0], t.q[1], t.q[2], t.q[3], t.type, t.position_valid);
    } else if (message->msgid == MAVLINK_MSG_ID_OBSTACLE_DISTANCE) {
        mavlink_obstacle_distance_t o;
        mavlink_msg_obstacle_distance_decode(message, &o);
        printf(" %llu %u %u %u %u %g %g %u", (unsigned long long)o.time_usec, o.sensor_type, o.increment,
               o.min_distance, o.max_distance, o.increment_f, o.angle_offset, o.frame);
        for (int i = 0; i < 72; i++) printf(" %u", o.distances[i]);
    } else if (message->msgid == MAVLINK_MSG_ID_HEARTBEAT) {
        mavlink_heartbeat_t h;
        mavlink_msg_heartbeat_decode(message, &h);
        printf(" %u %u %u", h.type, h.autopilot, h.system_status);
    } else if (message->msgid == MAVLINK_MSG_ID_STATUSTEXT) {
        mavlink_statustext_t text;
        mavlink_msg_statustext_decode(message, &text);
        printf(" %u %.50s", text.severity, text.text);
    } else if (message->msgid == MAVLINK_MSG_ID_COMMAND_LONG) {
        mavlink_command_long_t c;
        mavlink_msg_command_long_decode(message, &c);
        printf(" %u %u %u %g %g", c.target_system, c.target_component, c.command, c.param1, c.param2);
    }
    printf("\n");
}

int main(int count, char **words) {
    static mavlink_signing_t signing;
    static mavlink_signing_streams_t streams;
    mavlink_message_t message;
    mavlink_status_t status;
    if (count > 1) {
        for (int i = 0; i < 32; i++) {
            unsigned value;
            if (sscanf(words[1] + 2 * i, "%2x", &value) != 1) return 2;
            signing.secret_key[i] = (uint8_t)value;
        }
        signing.accept_unsigned_callback = nothing_unsigned;
        mavlink_get_channel_status(MAVLINK_COMM_0)->signing = &signing;
        mavlink_get_channel_status(MAVLINK_COMM_0)->signing_streams = &streams;
    }
    for (int byte; (byte = getchar()) != EOF;) {
        if (mavlink_parse_char(MAVLINK_COMM_0, (uint8_t)byte, &message, &status)) print(&message);
    }
    return 0;
}
