"""Amazon CloudWatch alarms: from SNS (`app/ingest/webhooks/sns.py`) or from EventBridge."""

from __future__ import annotations

import app.ingest.webhooks.coerce as coerce
from app.ingest.webhooks.coerce import Json, first
from app.ingest.webhooks.field_map import FieldMap, by

# From what people call a service to what only carries one.
_SERVICES = (
    *("ServiceName", "FunctionName", "DBInstanceIdentifier", "DBClusterIdentifier", "TableName", "QueueName"),
    *("TopicName", "ApiName", "ClusterName", "TargetGroup", "LoadBalancer", "AutoScalingGroupName"),
    "InstanceId",
)


def _service(body: Json) -> object:
    dimensions = coerce.labels(coerce.at(body, ("Trigger", "Dimensions")))
    return first(coerce.line, dimensions, _SERVICES)


FIELD_MAPS = (
    FieldMap(
        source="cloudwatch",
        matches="AlarmName + NewStateValue",
        effect=by("NewStateValue", resolved="ok"),
        title="AlarmName",
        description="AlarmDescription + NewStateReason",
        service=_service,
        started_at="StateChangeTime",
        # Either way an alarm has the same ARN, and is the same problem.
        identity="AlarmArn + AlarmContributorId → AlarmArn → AWSAccountId + Region + AlarmName",
        labels="Trigger.Dimensions + AlarmContributorAttributes",
    ),
    FieldMap(
        source="cloudwatch",
        matches="detail-type=CloudWatch Alarm State Change"
        " → detail-type=CloudWatch Alarm Contributor State Change",
        effect=by("detail.state.value", resolved="ok"),
        title="detail.alarmName",
        description="detail.configuration.description + detail.state.reason",
        started_at="detail.state.timestamp",
        identity="resources.0 + detail.alarmContributor.id → resources.0",
        labels="detail.alarmContributor.attributes",
    ),
)
