"""What each reason code of the broker means for us: the label of its metric, and what to do."""

REASONS = {
    0x84: ("version", "the broker does not speak this version of MQTT; the other one is tried"),
    0x85: ("client_id", "the broker does not allow this client id: choose another name (ingest.worker)"),
    0x86: ("credentials", "check the name and password (ingest.mqtt)"),
    0x87: ("credentials", "check the name and password (ingest.mqtt) and the broker's access rules"),
    0x88: ("unavailable", "the broker is starting or stopping; tried again"),
    0x89: ("busy", "the broker has no room for us; tried again"),
    0x8A: ("banned", "the broker's administrator has shut us out"),
    0x8B: ("unavailable", "the broker is shutting down; tried again"),
    0x8D: (
        "keepalive",
        "the broker heard nothing from us for one and a half keepalives: is this machine overloaded?",
    ),
    0x8E: ("taken_over", "the broker says that another client took over our session"),
    0x93: (
        "receive_maximum",
        "the broker overran ingest.mqtt.receive_maximum; what was under way comes again",
    ),
    0x95: (
        "oversize",
        "a message is larger than the limit: compare ingest.mqtt.maximum_packet_size with the broker's",
    ),
    0x96: ("rate", "the broker finds us too fast; tried again"),
    0x97: ("quota", "the broker's quota for this client is used up: raise it there"),
    0x98: ("administrative", "the broker's administrator has cut us off"),
    0x9F: ("rate", "the broker sees too many connections in a short time; tried again"),
}
"""Label of the metric and what to do, by reason code (MQTT 5.0, 2.4)."""
