"""Every metric of the worker and the desk, in one place; `docs/operations.md` says what each one means."""

from prometheus_client import Counter, Gauge, Histogram

MESSAGES = Counter("helmetwatch_messages", "Messages taken from the broker", ["leaf"])
REJECTED = Counter("helmetwatch_messages_rejected", "Messages that could not be used", ["reason"])
ACKNOWLEDGED = Counter("helmetwatch_messages_acknowledged", "Messages acknowledged to the broker")
STALE_ACKS = Counter(
    "helmetwatch_stale_acknowledgements", "Acknowledgements not sent: their connection is gone"
)
QUEUE = Gauge("helmetwatch_queue_messages", "Messages received and not yet processed")
CONNECTED = Gauge("helmetwatch_broker_connected", "1 while the worker has its broker")
CONNECTS = Counter("helmetwatch_broker_connects", "Connections made to the broker", ["session"])
CONNECT_FAILURES = Counter(
    "helmetwatch_broker_connect_failures", "Connections the broker refused or lost", ["reason"]
)
BROKER_DROPPED = Counter(
    "helmetwatch_broker_dropped_messages", "Messages the broker says it dropped, for any of its clients"
)
PROMPTS_DROPPED = Counter(
    "helmetwatch_prompts_dropped", "Prompts to helmets given up: the broker took them too slowly"
)
HEARTBEATS = Counter("helmetwatch_heartbeats", "Signs of life sent to the outside", ["outcome"])

FRAME_CLOCKS = Counter(
    "helmetwatch_frame_times_replaced",
    "Motion frames whose time could not be true: theirs is that of their arrival",
)
EVENT_CLOCKS = Counter(
    "helmetwatch_event_times_replaced", "Events whose time could not be true: theirs is that of their arrival"
)
FRAMES = Counter("helmetwatch_frames", "Motion frames placed in their helmet's time", ["how"])
FRAMES_MISSING = Counter("helmetwatch_frames_missing", "Frames that never came, by the gaps in their numbers")
CLOCK_JUMPS = Counter("helmetwatch_clock_jumps", "Helmet clocks that jumped between two adjoining frames")
HELMETS = Gauge("helmetwatch_helmets", "Helmets followed")
STAGE_CPU = Counter("helmetwatch_stage_cpu_seconds", "Processor time of the worker", ["stage"])
TICK = Histogram(
    "helmetwatch_tick_seconds",
    "Duration of one turn of drain, detect, commit, acknowledge",
    buckets=(0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 5),
)

DETECTIONS = Counter(
    "helmetwatch_detections", "Versions of incidents the detector gave out", ["kind", "stage"]
)
SENSOR_HEALTH = Gauge(
    "helmetwatch_sensor_health", "Faults of helmets' sensors that began since the start, by kind", ["fault"]
)
LEARNED = Counter(
    "helmetwatch_helmets_remembered", "Helmets whose noise, calibration and wear a start knew", ["outcome"]
)
UNDELIVERED = Gauge("helmetwatch_detections_undelivered", "Detections and events the desk has not taken yet")
DETECTIONS_REFUSED = Gauge(
    "helmetwatch_detections_refused", "Detections and events the desk refused, kept in the journal for a look"
)
DELIVERIES = Counter("helmetwatch_desk_deliveries", "Tries to hand detections to the desk", ["outcome"])
RELAY_ERRORS = Counter(
    "helmetwatch_relay_errors", "Faults of ours that a relay survived and tried again after", ["relay"]
)
ROWS_STORED = Counter("helmetwatch_telemetry_rows_stored", "Telemetry rows the store has taken")
SAMPLES_STORED = Counter("helmetwatch_samples_stored", "Raw samples the store has taken")
OBSERVED = Gauge("helmetwatch_helmets_observed", "Helmets under observation, as this worker knows")
ROWS_EVICTED = Counter(
    "helmetwatch_store_rows_evicted", "Oldest rows deleted: the embedded store reached its size", ["table"]
)
ROWS_REFUSED = Counter("helmetwatch_telemetry_rows_refused", "Telemetry rows the store will never take")
ROWS_DROPPED = Counter(
    "helmetwatch_telemetry_rows_dropped", "Oldest telemetry rows given up: the journal was full"
)
ROWS_WAITING = Gauge("helmetwatch_telemetry_rows_waiting", "Telemetry rows the store has not taken yet")
JOURNAL_LOST = Counter("helmetwatch_journal_lost", "Entries of the journal lost to a damaged file", ["what"])
RIDING_DROPPED = Counter(
    "helmetwatch_riding_logs_dropped", "Oldest riding logs given up: the desk was away for long"
)
RIDING_LOGS = Counter(
    "helmetwatch_riding_logs", "Riding logs that came to the desk, by what became of them", ["result"]
)
STORE_WRITES = Counter("helmetwatch_store_writes", "Tries to write to the telemetry store", ["outcome"])

CHANGES = Counter("helmetwatch_alert_changes", "Lines written into alerts' timelines", ["type", "state"])
TAKEN = Counter("helmetwatch_desk_taken", "Detections and events the desk has committed", ["what"])
FEED_CLIENTS = Gauge("helmetwatch_feed_clients", "Pages following the live feed")
FEED_CUT = Counter("helmetwatch_feed_clients_cut", "Pages cut off because they did not read")
REQUEST_ERRORS = Counter("helmetwatch_request_errors", "Requests answered with an error", ["status"])
REPORT_AGE = Gauge("helmetwatch_newest_report_age_seconds", "Age of the newest worker report; NaN before it")
BOOK_FAILURES = Counter("helmetwatch_book_failures", "Transactions of the alert book that failed")
FORGOTTEN = Counter(
    "helmetwatch_alerts_forgotten", "Old alerts that lost whose they were (alerts.retention_days)"
)

NOTIFICATIONS = Counter(
    "helmetwatch_notifications", "Tries to tell people by a channel", ["channel", "result"]
)
NOTIFICATIONS_WAITING = Gauge(
    "helmetwatch_notifications_waiting", "Notices a channel has not taken yet", ["channel"]
)

# Prometheus sees no increase in a series that begins with its first event: what raises an alarm is there before it.
for _counter, _values in {
    DELIVERIES: ("taken", "retry", "unreachable", "refused"),
    CONNECTS: ("new", "resumed"),
    CONNECT_FAILURES: ("credentials", "client_id", "taken_over", "oversize", "quota", "banned"),
    HEARTBEATS: ("sent", "failed", "withheld"),
    RELAY_ERRORS: ("desk", "report", "store"),
    STORE_WRITES: ("accepted", "partial", "retry", "refused"),
}.items():
    for _value in _values:
        _counter.labels(_value)
