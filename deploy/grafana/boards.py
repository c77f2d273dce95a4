"""The dashboards: which numbers stand beside each other, and in which unit."""

from typing import Final

from deploy.grafana.panels import BYTES, COUNT, PART, PER_S, RATE, TOKENS, Board, Panel, S, quantiles, rate

_OVERVIEW: Final = Board(
    "llmos-overview",
    "Overview",
    {
        "Now": (
            Panel("Requests per second", RATE, {"requests": rate("llmos_gateway_requests_total")}, "stat"),
            Panel("In flight", COUNT, {"in flight": "sum(llmos_gateway_in_flight)"}, "stat"),
            Panel(
                "Workers ready", COUNT, {"{{pool}}": 'max by (pool) (llmos_scheduler_workers{state="ready"})'}, "stat"
            ),
            Panel("Not ready", COUNT, {"{{job}}": "max by (job) (llmos_ready) == 0"}, "stat"),
        ),
        "Requests": (
            Panel(
                "By outcome", RATE, {"{{outcome}} {{status}}": rate("llmos_gateway_requests_total", "outcome, status")}
            ),
            Panel("Errors, by code", RATE, {"{{code}}": rate("llmos_gateway_errors_total", "code")}),
            Panel("Time of whole requests", S, quantiles("llmos_gateway_request_seconds")),
            Panel("Time to a stream's first token", S, quantiles("llmos_gateway_first_token_seconds")),
            Panel("Time between a stream's tokens", S, quantiles("llmos_gateway_token_seconds")),
            Panel("Tokens", TOKENS, {"{{kind}}": rate("llmos_gateway_tokens_total", "kind")}),
        ),
        "Queue": (
            Panel(
                "Depth",
                COUNT,
                {"{{pool}} {{service_class}}": "sum by (pool, service_class) (llmos_scheduler_queue_depth)"},
            ),
            Panel(
                "Oldest",
                S,
                {"{{pool}} {{service_class}}": "max by (pool, service_class) (llmos_scheduler_queue_oldest_seconds)"},
            ),
            Panel("Submission to acceptance", S, quantiles("llmos_gateway_queue_seconds", "route")),
            Panel(
                "Room",
                COUNT,
                {
                    "{{pool}} capacity": "max by (pool) (llmos_scheduler_capacity)",
                    "{{pool}} free": "max by (pool) (llmos_scheduler_credits)",
                },
            ),
            Panel("Workers", COUNT, {"{{pool}} {{state}}": "max by (pool, state) (llmos_scheduler_workers)"}),
            Panel(
                "What went wrong on the way",
                PER_S,
                {
                    "submitted again": rate("llmos_gateway_retries_total"),
                    "direct, in vain: {{reason}}": rate("llmos_gateway_direct_failed_total", "reason"),
                    "unanswered offers": rate("llmos_scheduler_unanswered_total"),
                    "redelivered": rate("llmos_scheduler_redelivered_total"),
                    "refused {{reason}}": rate("llmos_scheduler_refused_total", "reason"),
                    "failed {{code}}": rate("llmos_scheduler_failed_total", "code"),
                    "workers lost {{reason}}": rate("llmos_scheduler_lost_total", "reason"),
                },
            ),
        ),
    },
)

_ENGINE: Final = Board(
    "llmos-engine",
    "Engine",
    {
        "Load": (
            Panel(
                "Requests in the engine",
                COUNT,
                {
                    "running {{instance}}": "sum by (instance) (vllm:num_requests_running)",
                    "waiting {{instance}}": "sum by (instance) (vllm:num_requests_waiting)",
                },
            ),
            Panel(
                "Executions",
                COUNT,
                {"held {{instance}}": "llmos_inference_running", "capacity {{instance}}": "llmos_inference_capacity"},
            ),
            Panel("Ended", PER_S, {"{{outcome}}": rate("llmos_inference_executions_total", "outcome")}),
            Panel("Time of executions", S, quantiles("llmos_inference_execution_seconds")),
        ),
        "Tokens": (
            Panel(
                "Throughput",
                TOKENS,
                {
                    "prompt": rate("vllm:prompt_tokens_total"),
                    "generated": rate("vllm:generation_tokens_total"),
                },
            ),
            Panel("Engine: first token", S, quantiles("vllm:time_to_first_token_seconds")),
            Panel("Engine: between tokens", S, quantiles("vllm:inter_token_latency_seconds")),
            Panel("Engine: queue", S, quantiles("vllm:request_queue_time_seconds")),
        ),
        "Cache and adapters": (
            Panel("Cache of keys and values in use", PART, {"{{instance}}": "vllm:kv_cache_usage_perc"}),
            Panel(
                "Prefix cache: part of prompts found",
                PART,
                {
                    "hits": f"{rate('vllm:prefix_cache_hits_total')} / "
                    f"clamp_min({rate('vllm:prefix_cache_queries_total')}, 1)"
                },
            ),
            Panel(
                "Put back, for the cache was full",
                PER_S,
                {"{{instance}}": rate("vllm:num_preemptions_total", "instance")},
            ),
            Panel(
                "Adapters",
                COUNT,
                {
                    "loaded {{instance}}": "llmos_inference_adapters",
                    "missing {{instance}}": "llmos_inference_adapters_missing",
                },
            ),
            Panel("Fetching versions", S, quantiles("llmos_fetch_seconds", "job")),
            Panel("Bytes fetched", "Bps", {"{{job}}": rate("llmos_fetch_bytes_total", "job")}),
        ),
    },
)

_LOOP: Final = Board(
    "llmos-loop",
    "Learning loop",
    {
        "Feedback": (
            Panel("Interactions", PER_S, {"{{part}}": rate("llmos_feedback_interactions_total", "part")}),
            Panel("Judgements", PER_S, {"{{kind}}": rate("llmos_feedback_signals_total", "kind")}),
            Panel("Dead letters", PER_S, {"{{code}}": rate("llmos_feedback_dead_letters_total", "code")}),
            Panel(
                "What waits",
                COUNT,
                {
                    "judgements without their interaction": "max(llmos_feedback_pending_signals)",
                    "data sets {{state}}": "max by (state) (llmos_feedback_dataset_builds)",
                },
            ),
        ),
        "Training": (
            Panel("Jobs", COUNT, {"{{kind}} {{state}}": "max by (kind, state) (llmos_trainer_jobs)"}),
            Panel(
                "Oldest",
                S,
                {
                    "queued": "max(llmos_trainer_oldest_queued_seconds)",
                    "in one state": "max(llmos_trainer_oldest_unchanged_seconds)",
                    "data set": "max(llmos_feedback_oldest_build_seconds)",
                },
            ),
        ),
        "Rollouts and loops": (
            Panel("Rollouts", COUNT, {"{{state}}": "max by (state) (llmos_rollout_rollouts)"}),
            Panel(
                "Decisions, last hour",
                COUNT,
                {"{{action}}": "sum by (action) (increase(llmos_rollout_decisions_total[1h]))"},
            ),
            Panel("Harm, last hour", COUNT, {"{{guard}}": "sum by (guard) (increase(llmos_rollout_harm_total[1h]))"}),
            Panel("Turns", COUNT, {"{{state}}": "max by (state) (llmos_rollout_turns)"}),
            Panel("Oldest running turn", S, {"turn": "max(llmos_rollout_oldest_turn_seconds)"}),
            Panel("Evidence for no version", PER_S, {"requests": rate("llmos_gateway_unobserved_total")}),
        ),
        "Registry": (
            Panel("Versions", COUNT, {"{{kind}}": "max by (kind) (llmos_registry_versions)"}),
            Panel("Bytes kept", BYTES, {"{{state}}": "max by (state) (llmos_registry_blob_bytes)"}),
            Panel("Blobs", COUNT, {"{{state}}": "max by (state) (llmos_registry_blobs)"}),
            Panel("Deployments", COUNT, {"{{state}}": "max by (state) (llmos_registry_deployments)"}),
        ),
    },
)

_STORES: Final = Board(
    "llmos-stores",
    "Stores and bus",
    {
        "What is missing": (
            Panel(
                "Missing dependencies",
                COUNT,
                {"{{job}} {{dependency}}": "max by (job, dependency) (llmos_dependency_missing) == 1"},
            ),
            Panel(
                "Reconnects to the bus, last hour",
                COUNT,
                {"{{job}}": "sum by (job) (increase(llmos_bus_reconnects_total[1h]))"},
            ),
        ),
        "Bus": (
            Panel("Calls", PER_S, {"{{callee}} {{code}}": rate("llmos_bus_calls_total", "callee, code")}),
            Panel("Time of calls", S, quantiles("llmos_bus_call_seconds", "callee")),
            Panel("Answers", PER_S, {"{{job}} {{code}}": rate("llmos_bus_answers_total", "job, code")}),
            Panel("Events not acknowledged", COUNT, {"gateways": "sum(llmos_gateway_events_pending)"}),
            Panel("Outbox", COUNT, {"{{job}}": "max by (job) (llmos_outbox_rows)"}),
            Panel("Outbox: oldest", S, {"{{job}}": "max by (job) (llmos_outbox_oldest_seconds)"}),
            Panel("Intake", PER_S, {"{{stream}}": rate("llmos_intake_messages_total", "stream")}),
            Panel("Intake: behind", S, {"{{job}} {{stream}}": "max by (job, stream) (llmos_intake_lag_seconds)"}),
        ),
        "Stores": (
            Panel(
                "Transactions",
                PER_S,
                {"{{job}} {{outcome}}": rate("llmos_database_transactions_total", "job, outcome")},
            ),
            Panel("Time of transactions", S, quantiles("llmos_database_transaction_seconds", "job")),
            Panel(
                "Connections in use",
                COUNT,
                {"{{job}}": 'sum by (job) (llmos_database_connections{state="used"})'},
            ),
            Panel("S3 did not answer", PER_S, {"{{job}}": rate("llmos_objects_failed_total", "job")}),
        ),
        "Tenants, events, audit": (
            Panel("Keys", COUNT, {"{{state}}": "max by (state) (llmos_identity_keys)"}),
            Panel("Shares of limits", COUNT, {"{{quantity}}": "max by (quantity) (llmos_identity_shares)"}),
            Panel("Events published", PER_S, {"{{type}}": rate("llmos_events_published_total", "type")}),
            Panel("Webhooks: attempts", PER_S, {"{{outcome}}": rate("llmos_events_attempts_total", "outcome")}),
            Panel("Webhooks: deliveries", COUNT, {"{{state}}": "max by (state) (llmos_events_deliveries)"}),
            Panel(
                "Audit",
                COUNT,
                {"rows": "max(llmos_audit_chain_rows)", "said": "max(llmos_audit_head_rows)"},
            ),
        ),
        "Processes": (
            Panel("Processors", COUNT, {"{{job}}": rate("process_cpu_seconds_total", "job")}),
            Panel("Memory", BYTES, {"{{job}}": "sum by (job) (process_resident_memory_bytes)"}),
        ),
    },
)

BOARDS: Final = (_OVERVIEW, _ENGINE, _LOOP, _STORES)
