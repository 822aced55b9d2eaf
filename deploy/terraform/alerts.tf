# What tells people that something is wrong. docs/operations.md has a runbook for each alert, under its name.

locals {
  service_logs = "resource.type=\"cloud_run_revision\" AND resource.labels.service_name=\"${var.name}\""
  job_logs     = "resource.type=\"cloud_run_job\" AND resource.labels.job_name=\"${var.name}-backlog\""
  logs         = "((${local.service_logs}) OR (${local.job_logs}))"
  docs         = "https://github.com/evalforge/evalforge/blob/main/docs/operations.md"

  # Counted from the log lines of the service and the job: the message and its fields are part of its contract.
  log_metrics = {
    runs_ended  = "${local.service_logs} AND jsonPayload.message=\"run ended\" AND jsonPayload.dry_run=false AND severity<ERROR"
    runs_failed = "${local.logs} AND ((jsonPayload.message=\"run ended\" AND severity>=ERROR) OR jsonPayload.message=\"the store cannot be used yet; trying again\")"
    quarantined = "${local.logs} AND jsonPayload.message=\"trace failed\" AND jsonPayload.quarantined=true"
    throttled   = "${local.logs} AND jsonPayload.message=\"run ended\" AND jsonPayload.throttled=true"
    denied      = "${local.service_logs} AND jsonPayload.message=\"access denied\""
  }
}

resource "google_logging_metric" "evalforge" {
  for_each = local.log_metrics

  project = var.project
  name    = "${var.name}/${each.key}"
  filter  = each.value

  metric_descriptor {
    metric_kind = "DELTA"
    value_type  = "INT64"
    unit        = "1"
  }
}

resource "google_monitoring_notification_channel" "email" {
  for_each = toset(var.alert_emails)

  project      = var.project
  display_name = "EvalForge: ${each.value}"
  type         = "email"
  labels       = { email_address = each.value }
}

resource "google_monitoring_uptime_check_config" "health" {
  project      = var.project
  display_name = "${var.name} answers"
  timeout      = "10s"
  period       = "300s"

  http_check {
    path         = "/health"
    port         = 443
    use_ssl      = true
    validate_ssl = true

    service_agent_authentication {
      type = "OIDC_TOKEN"
    }

    accepted_response_status_codes {
      status_class = "STATUS_CLASS_2XX"
    }
  }

  monitored_resource {
    type = "uptime_url"
    labels = {
      project_id = var.project
      host       = trimprefix(google_cloud_run_v2_service.evalforge.uri, "https://")
    }
  }
}

resource "google_monitoring_alert_policy" "down" {
  project               = var.project
  display_name          = "EvalForge: service down"
  combiner              = "OR"
  notification_channels = values(google_monitoring_notification_channel.email)[*].id

  conditions {
    display_name = "/health failed from two places for 10 minutes"
    condition_threshold {
      filter          = "resource.type=\"uptime_url\" AND metric.type=\"monitoring.googleapis.com/uptime_check/check_passed\" AND metric.labels.check_id=\"${google_monitoring_uptime_check_config.health.uptime_check_id}\""
      comparison      = "COMPARISON_GT"
      threshold_value = 1
      duration        = "600s"
      aggregations {
        alignment_period     = "300s"
        per_series_aligner   = "ALIGN_NEXT_OLDER"
        cross_series_reducer = "REDUCE_COUNT_FALSE"
        group_by_fields      = ["resource.label.host"]
      }
    }
  }

  documentation {
    content = "Runbook: ${local.docs}#service-down"
  }
}

resource "google_monitoring_alert_policy" "no_runs" {
  project               = var.project
  display_name          = "EvalForge: no run"
  combiner              = "OR"
  notification_channels = values(google_monitoring_notification_channel.email)[*].id

  conditions {
    display_name = "no run ended well for 3 hours"
    condition_absent {
      filter   = "resource.type=\"cloud_run_revision\" AND metric.type=\"logging.googleapis.com/user/${google_logging_metric.evalforge["runs_ended"].name}\""
      duration = "10800s"
      aggregations {
        alignment_period     = "600s"
        per_series_aligner   = "ALIGN_DELTA"
        cross_series_reducer = "REDUCE_SUM"
      }
    }
  }

  documentation {
    content = "Runbook: ${local.docs}#no-run"
  }
}

# Each: so many of a log metric within a time.
locals {
  log_alerts = {
    runs_failed = { name = "runs fail", above = 1, window = "3600s", anchor = "runs-fail" }
    quarantined = { name = "traces are quarantined", above = 5, window = "3600s", anchor = "traces-are-quarantined" }
    throttled   = { name = "runs end early", above = 3, window = "7200s", anchor = "runs-end-early" }
    denied      = { name = "requests are denied", above = 50, window = "3600s", anchor = "requests-are-denied" }
  }
}

resource "google_monitoring_alert_policy" "log" {
  for_each = local.log_alerts

  project               = var.project
  display_name          = "EvalForge: ${each.value.name}"
  combiner              = "OR"
  notification_channels = values(google_monitoring_notification_channel.email)[*].id

  conditions {
    display_name = "more than ${each.value.above} within ${each.value.window}"
    condition_threshold {
      filter          = "resource.type=one_of(\"cloud_run_revision\",\"cloud_run_job\") AND metric.type=\"logging.googleapis.com/user/${google_logging_metric.evalforge[each.key].name}\""
      comparison      = "COMPARISON_GT"
      threshold_value = each.value.above
      duration        = "0s"
      aggregations {
        alignment_period     = each.value.window
        per_series_aligner   = "ALIGN_DELTA"
        cross_series_reducer = "REDUCE_SUM"
      }
    }
  }

  documentation {
    content = "Runbook: ${local.docs}#${each.value.anchor}"
  }
}

# Says that money was spent; what keeps it from being spent are run_budget_usd and daily_budget_usd.
resource "google_billing_budget" "month" {
  count = var.billing_account == "" ? 0 : 1

  billing_account = var.billing_account
  display_name    = "EvalForge: budget"

  budget_filter {
    projects = ["projects/${data.google_project.this.number}"]
  }

  amount {
    specified_amount {
      currency_code = var.billing_currency
      units         = tostring(floor(var.monthly_budget_usd))
    }
  }

  dynamic "threshold_rules" {
    for_each = [0.5, 0.9, 1.0]
    content {
      threshold_percent = threshold_rules.value
    }
  }

  all_updates_rule {
    monitoring_notification_channels = values(google_monitoring_notification_channel.email)[*].id
  }

  depends_on = [google_project_service.needed]
}
