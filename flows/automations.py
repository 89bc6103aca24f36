"""Ready-made automations: report failures, cancel a run that mostly fails, find runs whose process is gone.

Written in the shape of Prefect's API, so that an update replaces everything under the same name.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any
from uuid import UUID

from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.filters import FlowFilter, FlowFilterName
from prefect.events.schemas.automations import AutomationCore
from prefect.exceptions import ObjectNotFound
from prefect.settings.models.flows import FlowsSettings

from prefect_llm.flows.batch import batch_inference
from prefect_llm.flows.events import PREFIX
from prefect_llm.flows.redrive import redrive_failures
from prefect_llm.run.monitor import EventName
from prefect_llm.values.errors import InvalidInput

ZOMBIE_AFTER_S = 300.0
"""Longer than a restart of the server takes, during which living runs are not heard either."""
LEAST_ZOMBIE_AFTER_S = 60.0
"""Two heartbeats at Prefect's shortest interval of 30 s."""
HEARTBEAT = "PREFECT_FLOWS_HEARTBEAT_FREQUENCY"

_NAMES = [batch_inference.name, redrive_failures.name]
_OUR_FLOWS = {"prefect.resource.role": "flow", "prefect.resource.name": _NAMES}


def cancel_on_errors() -> AutomationCore:
    """Cancel the flow run of a run that reports a high error share; when it is resumed, nothing is paid twice."""
    return _automation(
        "cancel when errors are high",
        "A share of documents above monitoring.alert_error_share fails: the flow run is cancelled, and a run with "
        "the same output goes on.",
        {
            "type": "event",
            "posture": "Reactive",
            "match": {"prefect.resource.id": f"{PREFIX}.run.*"},
            "expect": [f"{PREFIX}.{EventName.ERRORS_HIGH}"],
            "for_each": ["prefect.resource.id"],
            "threshold": 1,
            "within": 0,
        },
        {"type": "cancel-flow-run"},
    )


def crash_zombies(after_s: float = ZOMBIE_AFTER_S) -> AutomationCore:
    """Count a flow run as crashed that has sent heartbeats and sends none any more: its Retry resumes it.

    Needs PREFECT_FLOWS_HEARTBEAT_FREQUENCY where flows run; the deployments set it.
    """
    return _automation(
        "crash runs without a heartbeat",
        f"Nothing was heard of the flow run for {after_s:g} s: its process or machine is gone.",
        {
            "type": "event",
            "posture": "Proactive",
            "match": {"prefect.resource.id": "prefect.flow-run.*"},
            "match_related": _OUR_FLOWS,
            "after": ["prefect.flow-run.heartbeat"],
            "expect": ["prefect.flow-run.*"],  # the next heartbeat, or any state: ours are named after reasons
            "for_each": ["prefect.resource.id"],
            "threshold": 1,
            "within": after_s,
        },
        {
            "type": "change-flow-run-state",
            "state": "CRASHED",
            "message": f"no heartbeat for {after_s:g} s: retry the run, and it goes on where it stopped",
        },
    )


def notify_on_failure(block_document_id: UUID) -> AutomationCore:
    """Send a message by a notification block when a run has failed or crashed."""
    return _automation(
        "notify when a run fails",
        "A flow run of prefect-llm failed or crashed.",
        {
            "type": "event",
            "posture": "Reactive",
            "match": {"prefect.resource.id": "prefect.flow-run.*", "prefect.state-type": ["FAILED", "CRASHED"]},
            "match_related": _OUR_FLOWS,
            "expect": ["prefect.flow-run.*"],
            "for_each": ["prefect.resource.id"],
            "threshold": 1,
            "within": 0,
        },
        {
            "type": "send-notification",
            "block_document_id": str(block_document_id),
            "subject": "{{ flow_run.name }}: {{ flow_run.state.name }}",
            "body": "{{ flow.name }} {{ flow_run.name }} is {{ flow_run.state.name }}: {{ flow_run.state.message }}\n"
            "{{ flow_run | ui_url or 'flow run ' ~ flow_run.id }}",  # a server may not know its own address
        },
    )


def create(client: SyncPrefectClient, automations: Iterable[AutomationCore]) -> list[str]:
    """Put each on the server, in the place of one by its name, which stays paused if it was; a line about each."""
    lines = []
    for automation in automations:
        known = client.read_automations_by_name(automation.name)
        if known:
            client.update_automation(known[0].id, automation.model_copy(update={"enabled": known[0].enabled}))
        else:
            client.create_automation(automation)
        paused = " (paused)" if known and not known[0].enabled else ""
        lines.append(f"{'updated' if known else 'created'}: {automation.name}{paused}")
    return lines


def slow_heartbeats(client: SyncPrefectClient, after_s: float) -> list[str]:
    """A sentence for each deployment in a work pool of which living runs could be counted as crashed.

    Of two heartbeats within `after_s` one may be lost. A worker's own environment, which may set it, is not known.
    """
    ours = FlowFilter(name=FlowFilterName(any_=_NAMES))
    beats = {
        each.name: _heartbeat_s(each.job_variables)
        for each in client.read_deployments(flow_filter=ours)
        if each.work_pool_name is not None
    }
    return [
        f"the deployment {name!r} sends a heartbeat every {every_s:g} s, and its living runs may be counted as "
        f"crashed: set {HEARTBEAT} to {after_s / 2:g} or less in work_pool.job_variables.env, or a longer "
        "--zombie-after"
        for name, every_s in sorted(beats.items())
        if every_s > after_s / 2
    ]


def _heartbeat_s(job_variables: Mapping[str, Any]) -> float:
    env = job_variables.get("env") or {}
    return float(env.get(HEARTBEAT) or FlowsSettings.model_fields["heartbeat_frequency"].default)


def notification_block(client: SyncPrefectClient, slug: str) -> UUID:
    """The document of a saved notification block, named as `slack-webhook/team`. Raises `InvalidInput`."""
    kind, _, name = slug.partition("/")
    try:
        return client.read_block_document_by_name(name, kind, include_secrets=False).id
    except ObjectNotFound as error:
        raise InvalidInput(
            f"--notify: there is no block {slug!r}; name a saved notification block by its type and name, "
            "as slack-webhook/team"
        ) from error


def _automation(name: str, description: str, trigger: dict[str, Any], action: dict[str, Any]) -> AutomationCore:
    return AutomationCore.model_validate(
        {
            "name": f"{PREFIX}: {name}",
            "description": description,
            "enabled": True,
            "trigger": trigger,
            "actions": [action],
            "actions_on_trigger": [],
            "actions_on_resolve": [],
        }
    )
