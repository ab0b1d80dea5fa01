/*
 * limits — every ceiling of the product in one place, each with its reason.
 */
#pragma once

#define LIMIT_JSON_DEPTH_RESPONSE 512 /* of upstreams, which are only relayed; a multiple of 64 */
#define LIMIT_JSON_DEPTH 64           /* security.md; deeper bodies are attacks */
/* In an object a gate reads: each name is compared with the ones before it. */
#define LIMIT_JSON_MEMBERS 256 /* the widest documented request has about 40 */
#define LIMIT_JSON_NAME 1024   /* bytes of a member name as it stands */

#define LIMIT_ALLOCATION (1u << 30) /* one piece of heap; more is a broken length, not a need */

/* the memory of a data plane, in percent of its limit */
#define LIMIT_MEMORY_SHED 85     /* security.md: new work is turned away from here on, */
#define LIMIT_MEMORY_CALM 80     /* and taken again below */
#define LIMIT_MEMORY_LOOK_MS 100 /* a burst of the largest bodies needs longer to fill the rest */
#define LIMIT_MEMORY_CALM_LOOK_MS 300 /* the same below half of the limit */
#define LIMIT_MEMORY_TRIM_MS 1000     /* while it is high: freed heap goes back; dear, so seldom */
#define LIMIT_MEMORY_RETRY_S 2        /* what clients are asked to wait */

/* HTTP/1.1, both sides */
#define LIMIT_HTTP_HEAD (64 * 1024)         /* long JWTs and many headers fit; a flood does not */
#define LIMIT_HTTP_HEADERS 128              /* in a head */
#define LIMIT_HTTP_TARGET (16 * 1024)       /* path and query */
#define LIMIT_HTTP_CHUNK_EXT 256            /* bytes of extensions behind one chunk size */
#define LIMIT_HTTP_CHUNK_EXTRAS (16 * 1024) /* extensions of all chunks: only floods use them */
#define LIMIT_HTTP_METHOD 32                /* the longest registered one has 17 letters */
#define LIMIT_HTTP_TRAILERS (8 * 1024)      /* all trailers of a body */
#define LIMIT_HTTP_PIPELINE 1               /* requests read ahead of the one under way */
#define LIMIT_HTTP_REST (320 * 1024)        /* read ahead of a paused reader: one read and a head */
#define LIMIT_HTTP_COALESCE 4096 /* smaller pieces are gathered: a copy beats a system call */
#define LIMIT_HTTP_DISCARD                                                                         \
    (64 * 1024)               /* rest of an unwanted body still read to keep a connection */
#define LIMIT_HTTP_SPARE 1024 /* exchanges and calls kept warm per server or client: 2 KB each */
#define LIMIT_HTTP_INTERIM 16 /* 1xx before a response; more is a flood */
#define LIMIT_HTTP_LINGER_MS 2000 /* silence behind our FIN, before the close; */
#define LIMIT_HTTP_LINGER_TOTAL_MS                                                                 \
    30000 /* and all of it, for a client that still sends (nginx waits as long) */

/* bodies */
#define LIMIT_AI_BODY (32u * 1024 * 1024) /* images travel inside the prompt as base64 */
/* A form with a file goes on as it comes once its front says what must be known. The front is kept,
 * so that another target can be tried until more was taken; it fits a stream that is not open yet.
 */
#define LIMIT_BODY_FRONT (128u * 1024)
#define LIMIT_AI_UPLOAD (520u * 1024 * 1024) /* OpenAI takes files of 512 MB */
#define LIMIT_AI_ANSWER (64u * 1024 * 1024)  /* a plain response; streams have no total */
#define LIMIT_AI_TOKENS                                                                            \
    100000000 /* one call's; no model reads or writes a tenth: above is a mistake */
/* What a model puts into its calls: each call pays for it, in bytes and in tokens. */
#define LIMIT_MODEL_SYSTEM_PROMPT 16384 /* characters */
#define LIMIT_MODEL_DROPS 16            /* members that are taken out */
#define LIMIT_MODEL_HEADERS 8           /* the send has room for so many beside a provider's own */
#define LIMIT_MODEL_STOPS 4             /* OpenAI takes no more */
#define LIMIT_MODEL_STOP 64             /* characters of one */
#define LIMIT_MODEL_DEPTH 4             /* models on the way from a name to a provider */
#define LIMIT_MODEL_NESTED 256 /* targets behind a name that are models, counted each time */
#define LIMIT_MODEL_JSON 16384 /* bytes of one value as JSON: the stops, each byte escaped */
#define LIMIT_MCP_BODY (4u * 1024 * 1024)    /* one JSON-RPC message */
#define LIMIT_MCP_ANSWER (16u * 1024 * 1024) /* tools/list of a large server, images in results */
#define LIMIT_PASSTHROUGH_BODY                                                                     \
    (2048u * 1024 * 1024)                    /* the largest file a provider takes; streams */
#define LIMIT_API_BODY (1024u * 1024 * 1024) /* an upload; it streams, nothing holds it */
#define LIMIT_ADMIN_RESPONSE_MS 30000        /* longer than ?wait= and a statement take together */
#define LIMIT_ADMIN_BODY (1u * 1024 * 1024)  /* an admin document */
#define LIMIT_SSE_EVENT (1u * 1024 * 1024)   /* one event held while it is read */

#define LIMIT_AI_EVENT (16u * 1024 * 1024) /* of a model's stream: images travel in deltas */

/* WebSockets */
#define LIMIT_WEBSOCKET_MESSAGE                                                                    \
    (16u * 1024 * 1024) /* one message: a piece of audio is at most 15 MiB (OpenAI's reference) */
#define LIMIT_WEBSOCKET_PING_S                                                                     \
    20                            /* a silent peer is asked; proxies end silence at 60 s, and up   \
                                   */
#define LIMIT_WEBSOCKET_GONE_S 45 /* and is gone where it did not respond */

/* a realtime session */
#define LIMIT_REALTIME_MS 7200000     /* OpenAI ends its own after an hour */
#define LIMIT_REALTIME_IDLE_MS 900000 /* neither side said anything: it was forgotten */
#define LIMIT_REALTIME_GAP_MS 60000   /* of an upstream that does not even respond to pings */
#define LIMIT_REALTIME_ERRORS 100     /* that one client is told, before its session ends */
#define LIMIT_REALTIME_CONTEXT 128000 /* tokens of a prompt, where the model's own is not known */

/* buffers on a connection */
#define LIMIT_STREAM_OUT (256 * 1024) /* unsent bytes before the producer is paused hard */
#define LIMIT_STREAM_HIGH (64 * 1024) /* pause the other side above, */
#define LIMIT_STREAM_LOW (16 * 1024)  /* resume it below */

/* what a client has not read yet of one response: the largest event and what was read with it */
#define LIMIT_RESPONSE_HELD (2 * LIMIT_MCP_ANSWER + LIMIT_STREAM_OUT)
#define LIMIT_RESPONSE_KEPT                                                                        \
    LIMIT_AI_ANSWER /* a response that filters have seen, until it is recorded */

#define LIMIT_STREAM_PIECE (72u * 1024 * 1024) /* one write: the largest body and its framing */

/* a loop */
#define LIMIT_LOOP_MAIL 65536     /* posts not yet read: a loop that far behind is stuck */
#define LIMIT_RESOLVER_NAMES 4096 /* names one loop remembers */
#define LIMIT_TLS_HOSTS 256       /* hosts whose TLS sessions a client context remembers */

/* a request */
#define LIMIT_HOPS 5 /* times one call may pass a gateway of ours: more is a loop */
#define LIMIT_ARENA_CHUNK (8 * 1024)
#define LIMIT_ARENA_MAX (4u * 1024 * 1024) /* bodies live in buffers, not here */
#define LIMIT_CALL_EVENTS 4                /* of one call, that its span tells */
#define LIMIT_ATTEMPTS 8                   /* targets tried for one call */
#define LIMIT_SESSION_LABEL 128            /* security.md */
#define LIMIT_SEALED_ID 512                /* security.md */

/* a log line; a pipe takes up to 4 KiB unbroken, a file any length */
#define LIMIT_LOG_LINE (8 * 1024)

/* deadlines, milliseconds */
#define LIMIT_HEAD_MS 10000     /* a client sends its head within; else 408 */
#define LIMIT_BODY_GAP_MS 30000 /* between two pieces of a body */
#define LIMIT_PACE 500 /* bytes a second of a body or a reader; a modem did four times it */
#define LIMIT_KEEPALIVE_MS 75000     /* an idle client connection */
#define LIMIT_UPSTREAM_IDLE_MS 30000 /* an idle pooled connection; below common servers' 60 s */
#define LIMIT_CONNECT_MS 5000
#define LIMIT_FIRST_BYTE_MS 600000 /* slow models think for minutes */
#define LIMIT_GAP_MS 120000        /* silence inside a response */
#define LIMIT_CALL_MS 3600000

/* the channel between the planes (decisions.md) */
#define LIMIT_BUS_MESSAGE (4u * 1024 * 1024)
#define LIMIT_HEALTH_ENDPOINTS 4096        /* that one plane reports of */
#define LIMIT_EXPLAIN_BODY (256u * 1024)   /* of a call that is only explained: it is pushed */
#define LIMIT_BUS_DELTA (1u * 1024 * 1024) /* above, only the new version is announced */
#define LIMIT_BUS_CHUNK (1u * 1024 * 1024) /* of a snapshot */
#define LIMIT_BUS_QUEUE 8192               /* messages buffered at either end */
/* A lost delta is noticed with the next heartbeat. Heartbeats follow each change quickly, and when
 * nothing happens they come as seldom as staleness allows: each wakes eight threads of a plane. */
#define LIMIT_BUS_HEARTBEAT_MS 25
#define LIMIT_BUS_HEARTBEAT_BUSY_MS 500 /* after a change, how long so */
#define LIMIT_BUS_HEARTBEAT_IDLE_MS 450 /* then: two are due before a plane counts itself stale */
#define LIMIT_BUS_STALE_MS 1000 /* without a heartbeat a plane asks, and counts itself stale */
#define LIMIT_BUS_PENDING 256   /* requests of one plane without a reply yet */
#define LIMIT_BUS_CONTEXTS 16   /* of those, in the hub's hands at once */
#define LIMIT_BUS_EPOCHS 4      /* starts of a plane whose replies are kept */
#define LIMIT_BUS_KEPT                                                                             \
    (32u * 1024 * 1024)         /* bytes of replies kept for one plane to be repeated              \
                                 */
#define LIMIT_BUS_SEND_MS 10000 /* a reply that cannot be sent for so long is given up */
#define LIMIT_TUNNEL_PAIRS 4096 /* connections through one end: two a plane */
/* of those, before their certificate is known; one more ends the oldest */
#define LIMIT_TUNNEL_STRANGERS 256
#define LIMIT_TUNNEL_SOURCE 64         /* of those, from one address or IPv6 /64 */
#define LIMIT_TUNNEL_FIRST_MS 1000     /* until a peer's first TLS message is complete */
#define LIMIT_TUNNEL_PIECE (64 * 1024) /* bytes in hand each way; four TLS records */
#define LIMIT_TUNNEL_HANDSHAKE_MS 5000 /* connect and TLS together */
#define LIMIT_TUNNEL_LINGER_MS 1000    /* last bytes after one side has ended */
#define LIMIT_TUNNEL_DEAD_MS 10000     /* unacknowledged bytes: the other host is gone */

/* what a worker remembers about its upstreams */
#define LIMIT_ENDPOINTS                                                                            \
    4096 /* targets × credentials × regions: ten times a large installation's                    \
          */
#define LIMIT_BREAKER_FAILURES 5       /* in a row; a single bad call opens no breaker */
#define LIMIT_BREAKER_OPEN_MS 5000     /* before a breaker that opened lets one request try */
#define LIMIT_ENDPOINT_LIMITED_MS 1000 /* after a 429 that names no time */
#define LIMIT_ENDPOINT_REFUSED_MS                                                                  \
    30000 /* a credential that is refused seldom comes back sooner                                 \
           */
#define LIMIT_ENDPOINT_WAIT_MS                                                                     \
    60000                        /* the longest wait that is accepted; a day would be a mistake */
#define LIMIT_PACE_WAITING 1024  /* calls of one worker that wait for a provider's ceiling */
#define LIMIT_PACE_WAIT_MS 65000 /* such a wait: a minute's allowance is back by then */
#define LIMIT_PACE_STAY_MS 500   /* a longer one, and another target with room is taken instead */
#define LIMIT_RETRY_BURST                                                                          \
    100                      /* retries that a worker's calls of one provider have earned at most */
#define LIMIT_RETRY_FLOOR 10 /* a second, which small traffic may always try */
#define LIMIT_RETRY_WAIT_MS                                                                        \
    8000 /* before the same target is tried again; a longer wait is not waited for */
#define LIMIT_EXCHANGE_SPARE 1024 /* ended exchanges kept warm per worker */

/* connections */
#define LIMIT_POOL_IDLE                                                                            \
    1024 /* idle upstream connections per endpoint and worker: a burst of agents */
#define LIMIT_CONNECTIONS 20000 /* client connections per worker */
#define LIMIT_CLIENT_DESCRIPTORS                                                                   \
    75 /* percent that clients may take; the rest is for upstreams and us */
#define LIMIT_REALTIME_DESCRIPTORS                                                                 \
    5 /* of a session beside its client's connection: two pairs of sockets, the upstream's */
#define LIMIT_LENT_DESCRIPTORS                                                                     \
    50 /* percent of the clients' that sessions may hold; the rest is for connections */
#define LIMIT_MCP_SESSIONS 100000 /* upstream MCP sessions held by one plane */
#define LIMIT_MCP_SESSIONS_EACH                                                                    \
    2000 /* of one principal: one that never ends its own fills a fiftieth */

/* the tool gate */
#define LIMIT_ALLOWED_HOSTS 64 /* names one plane is reached by; looked through for each call */
#define LIMIT_MCP_ID 256       /* a JSON-RPC id as it stands; UUIDs have 38 characters */
#define LIMIT_MCP_METHOD 256   /* a method's name */
#define LIMIT_MCP_TOOL 1024    /* a tool's name as it stands; the specification says 128 */
#define LIMIT_MCP_HELLO (16 * 1024) /* capabilities and clientInfo, kept for each session */
#define LIMIT_MCP_UPSTREAM_ID 4096  /* an upstream's session id; some seal their state into it */
#define LIMIT_MCP_UPSTREAMS 64      /* servers of one client session */
#define LIMIT_MCP_PENDING 256       /* requests of one session that can be named */
#define LIMIT_MCP_QUESTIONS 64      /* of its servers, to which its client has not responded */
#define LIMIT_MCP_SUBSCRIPTIONS 64  /* of one session, that are made again when it is lost */
#define LIMIT_MCP_STREAMS 4         /* event streams (GET) of one session; a client needs one */
#define LIMIT_MCP_STREAMS_EACH 512  /* of one principal */
#define LIMIT_MCP_URI 4096          /* of a subscription, as it stands */
#define LIMIT_MCP_EVENT_ID 1024     /* the last of an event stream that attaches anew */
#define LIMIT_MCP_TASKS 16384       /* of all servers, whose makers one plane remembers */
#define LIMIT_MCP_ORPHANS 256    /* upstream calls read to their end without a client, per worker */
#define LIMIT_MCP_OPEN_MS 30000  /* initialize, notifications, DELETE: no work behind them */
#define LIMIT_MCP_CALL_MS 600000 /* silence of a tool at work: some build and test for minutes */
#define LIMIT_MCP_TOTAL_MS 3600000 /* a call at all, whatever its server sends meanwhile */
#define LIMIT_MCP_ATTACH_MS 100    /* before an event stream attaches anew, doubled each time, */
#define LIMIT_MCP_ATTACH_MOST_MS 10000 /* up to this */
#define LIMIT_MCP_KEEPALIVE_MS 15000   /* proxies and clients end a silent stream at 30 s and up */
#define LIMIT_MCP_IDLE_MS                                                                          \
    14400000 /* an unused session: longer than a meeting, shorter than a night */
#define LIMIT_MCP_SESSION_MS 86400000 /* a session at all: no id is good for more than a day */
#define LIMIT_MCP_SWEEP_MS 250        /* how often a worker looks for sessions that expired, */
#define LIMIT_MCP_SWEEP 64            /* and how many it then ends: all of a plane in minutes */

/* discovery: what a server says its tools are */
#define LIMIT_LIST_ORDERS 8   /* listings in one plane's hands at once */
#define LIMIT_LIST_MS 60000   /* one listing, whatever the server does */
#define LIMIT_LIST_PAGES 100  /* of one list; servers have 50 or 100 tools on a page */
#define LIMIT_LIST_TOOLS 2000 /* of one server; the largest known have some hundreds */
#define LIMIT_LIST_BYTES (16u * 1024 * 1024) /* definitions of one listing, as they stand */
#define LIMIT_LIST_NAME 256                  /* of a tool; the specification says 128 */
#define LIMIT_LIST_CURSOR 4096               /* as it stands; some are sealed states */
#define LIMIT_LIST_DEFINITION (64 * 1024)    /* kept to be shown; of a larger one only the digest */
#define LIMIT_LIST_PART                                                                            \
    (768u * 1024) /* tools in one message of a report: below LIMIT_BUS_DELTA                       \
                   */
#define LIMIT_LIST_CHANGED                                                                         \
    64 /* servers that changed between two questions; the rest at its time                         \
        */
#define LIMIT_LIST_GATHER_MS 200 /* what changes together is reported together */
#define LIMIT_LIST_DUE 256       /* servers looked at for one question of a plane */

/* control plane: policy and ingest */
#define LIMIT_SQL_ARRAY                                                                            \
    (8u * 1024 * 1024)                    /* one column of a batch; a bus message and its escapes */
#define LIMIT_POLICY_OBJECT (512u * 1024) /* one packed object; a delta and a chunk hold two */
#define LIMIT_POLICY_HELD 16              /* versions whose snapshots are being fetched at once */
#define LIMIT_POLICY_HELD_US (60 * 1000000ll) /* a fetch that pauses longer begins again */
#define LIMIT_PEM (16 * 1024)                 /* a certificate or a key as text */
#define LIMIT_LEASE_ASKS 1024 /* in one request; a plane asks for more in the next */
#define LIMIT_CEILING_ASKS                                                                         \
    1024                      /* the same of ceilings; a plane asks for the others a second later */
#define LIMIT_DATAPLANES 4096 /* known to one control plane */
#define LIMIT_POLICY_VIEWS                                                                         \
    256                      /* pools with planes, times the sets of features among their planes */
#define LIMIT_SPAN_TEXT 1024 /* one text of a span: a path, a tool's name */
#define LIMIT_SPAN_EVENTS (16 * 1024) /* a span's events as JSON */

/* the control plane's store */
#define LIMIT_SEALED_ROW (64 * 1024) /* one sealed value: a pasted service account is 8 KiB */
