"""One provider's engine: an event loop on a thread of its own, to which any thread hands its chunk and waits.

Clients and limits belong to that loop, so chunks of many threads, flows and tasks share them; what happens there is
the `Dispatcher`'s.
"""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import wait

from prefect_llm.engine.attempts import Attempts
from prefect_llm.engine.dispatcher import GRACE_S, Dispatcher
from prefect_llm.engine.limits.shared_limit import Demand
from prefect_llm.engine.provider_status import ProviderStatus
from prefect_llm.engine.submission import Submission
from prefect_llm.engine.transport import check_provider
from prefect_llm.system import telemetry
from prefect_llm.system.event_loop import allow_open_files, new_event_loop
from prefect_llm.values.errors import Interrupted
from prefect_llm.values.provider import Provider
from prefect_llm.values.request import Request


class Engine:
    """Asks one provider. Open it with `engine_for`, which gives each provider one engine per process.

    Raises `InvalidInput` on an address or a header that cannot be used.
    """

    def __init__(self, provider: Provider) -> None:
        check_provider(provider)
        allow_open_files(provider.limits.most_in_flight)
        self.provider = provider
        self._loop = new_event_loop()
        self._dispatcher = Dispatcher(provider, self._loop)
        telemetry.observe(self)
        name = f"llm-{provider.name}"
        self._thread = threading.Thread(target=self._loop.run_forever, name=name, daemon=True)
        self._thread.start()

    def start(self, submission: Submission) -> None:
        """Begin to send its requests. `finish` or `cancel` must follow.

        Its requests are drawn and its receiver is called on the engine's thread, as slots and answers come: none of
        them may block.
        """

        def stop() -> None:
            self._loop.call_soon_threadsafe(self._dispatcher.stop, submission)

        submission.stop.listen(stop)  # first: between the two, a stop would let requests leave
        self._loop.call_soon_threadsafe(self._dispatcher.admit, submission)
        submission.done.add_done_callback(lambda _: submission.stop.forget(stop))

    def finish(self, submission: Submission) -> None:
        """Accept no more handovers for it, and wait until all of it has ended.

        Raises the `RunError` that stopped the run, or what one of the caller's functions raised. Outcomes
        delivered before that are good.
        """
        if submission.backlog.open:
            self._loop.call_soon_threadsafe(submission.finish)
        try:
            submission.done.result()
        except (KeyboardInterrupt, SystemExit):
            submission.stop.set(Interrupted("interrupted: finished rows are kept"))
            wait([submission.done], timeout=GRACE_S + 1)
            raise

    def cancel(self, submission: Submission) -> None:
        """Send no more of it and cancel what is in flight. Returns when no more of it is delivered."""
        self._loop.call_soon_threadsafe(self._dispatcher.cancel, submission)
        wait([submission.done])

    def accept_handover(self, submission: Submission, request: Request, attempts: Attempts) -> None:
        """Send a request for a submission of this engine, with its attempts at other providers. Any thread."""
        self._loop.call_soon_threadsafe(self._dispatcher.accept_handover, submission, request, attempts)

    def set_share(self, share: float) -> None:
        """Hold this process to its share, from 0 to 1, of the provider's limits; at 0 nothing leaves. Any thread."""
        if not self.closed:
            self._loop.call_soon_threadsafe(self._dispatcher.set_share, share)

    def demand(self) -> Demand:
        """Whether there is work, whether a limit holds it back, and how much is in flight. Any thread."""
        scheduler = self._dispatcher.scheduler
        if self.closed:
            return Demand(busy=False, held_back=False)
        return Demand(not scheduler.idle, scheduler.is_held_back(self._loop.time()), scheduler.in_flight)

    @property
    def status(self) -> ProviderStatus:
        """The provider as it is at this moment. Any thread."""
        breaker, scheduler = self._dispatcher.breaker, self._dispatcher.scheduler
        provider_faults, policy, now = self._dispatcher.provider_faults, self._dispatcher.policy, self._loop.time()
        since = policy.throttling.since
        return ProviderStatus(
            provider=self.provider.name,
            state=breaker.state,
            outages=breaker.outages,
            in_flight=scheduler.in_flight,
            waiting=scheduler.waiting,
            base_url=self.provider.base_url,
            fault=provider_faults.fault,
            outage_limit_s=provider_faults.outage_limit_s,
            throttled=policy.throttling.count,
            throttled_s=0.0 if since is None else now - since,
            pause_s=max(policy.backpressure.cool_until - now, 0.0),
        )

    @property
    def closed(self) -> bool:
        """Whether it sends nothing any more."""
        return self._loop.is_closed()

    def close(self) -> None:
        """Cancel what is in flight, close connections, end the thread."""
        asyncio.run_coroutine_threadsafe(self._dispatcher.close(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
