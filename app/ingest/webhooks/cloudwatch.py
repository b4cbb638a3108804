"""Amazon CloudWatch alarms: from SNS (`app/ingest/webhooks/sns.py`) or from EventBridge."""

from __future__ import annotations

import app.ingest.webhooks.coerce as coerce
from app.ingest.webhooks.coerce import Json, first
from app.ingest.webhooks.field_map import FieldMap, all_of, by, first_of, join

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
        matches=all_of("AlarmName", "NewStateValue"),
        effect=by("NewStateValue", resolved="ok"),
        title="AlarmName",
        description=join("AlarmDescription", "NewStateReason"),
        service=_service,
        started_at="StateChangeTime",
        said_at="StateChangeTime",
        # Either way an alarm has the same ARN, and is the same problem.
        identity=first_of(
            all_of("AlarmArn", "AlarmContributorId"),
            "AlarmArn",
            all_of("AWSAccountId", "Region", "AlarmName"),
        ),
        labels=join("Trigger.Dimensions", "AlarmContributorAttributes"),
    ),
    FieldMap(
        source="cloudwatch",
        matches=first_of(
            "detail-type=CloudWatch Alarm State Change",
            "detail-type=CloudWatch Alarm Contributor State Change",
        ),
        effect=by("detail.state.value", resolved="ok"),
        title="detail.alarmName",
        description=join("detail.configuration.description", "detail.state.reason"),
        started_at="detail.state.timestamp",
        said_at="detail.state.timestamp",
        identity=first_of(all_of("resources.0", "detail.alarmContributor.id"), "resources.0"),
        labels="detail.alarmContributor.attributes",
    ),
)
