"""/healthz and /readyz over HTTP, for probes, and /metrics for Prometheus.

An answer proves that the event loop turns; the process ends when an essential part of it does.
So /healthz depends on nothing else, least of all on how much there is to do.
"""

import contextlib
from collections.abc import AsyncIterator, Callable

from aiohttp import hdrs, web

from taskmill.metrics import Metrics
from taskmill.settings import Address, SettingsError

UNAVAILABLE = 503
PATIENCE = 1.0
"""Seconds that a probe under way has when the operator ends."""

Check = Callable[[], str]
"""Why this process is not ready; "" when it is."""


@contextlib.asynccontextmanager
async def serve(address: Address, metrics: Metrics, *checks: Check) -> AsyncIterator[int]:
    """Answer probes for as long as this lasts; gives the port. SettingsError: it cannot be had."""

    async def healthz(_: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def readyz(_: web.Request) -> web.Response:
        trouble = next(filter(None, (check() for check in checks)), "")
        return web.Response(text=f"{trouble or 'ok'}\n", status=UNAVAILABLE if trouble else 200)

    async def exposition(request: web.Request) -> web.Response:
        body, content_type = metrics.exposition(request.headers.get(hdrs.ACCEPT, ""))
        return web.Response(body=body, headers={hdrs.CONTENT_TYPE: content_type})

    app = web.Application()
    app.add_routes(
        [
            web.get("/healthz", healthz),
            web.get("/readyz", readyz),
            web.get("/metrics", exposition),
        ]
    )
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=PATIENCE)
    await runner.setup()
    try:
        site = web.TCPSite(runner, address.host or None, address.port)
        try:
            await site.start()
        except OSError as error:
            raise SettingsError(f"TASKMILL_HEALTH_ADDRESS {address}: {error.strerror}") from None
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()
