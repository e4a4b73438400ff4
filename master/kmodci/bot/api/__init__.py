"""The HTTP API below /api/kmodci/v1, /healthz and /metrics. `bot.site` mounts it."""
