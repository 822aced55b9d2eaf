resource "google_cloud_run_v2_service" "evalforge" {
  project             = var.project
  location            = var.region
  name                = var.name
  ingress             = "INGRESS_TRAFFIC_ALL"
  deletion_protection = var.deletion_protection

  template {
    service_account                  = google_service_account.runtime.email
    timeout                          = "${local.request_timeout}s"
    max_instance_request_concurrency = 80

    scaling {
      min_instance_count = local.otlp ? 1 : 0
      max_instance_count = local.otlp ? 1 : 3
    }

    containers {
      image = var.image
      args  = ["serve"]

      ports {
        container_port = 8080
      }

      resources {
        limits = {
          cpu    = "1"
          memory = "${local.memory_mib}Mi"
        }
        cpu_idle          = !local.otlp # a run ends with its request; gathering spans goes on between requests
        startup_cpu_boost = true
      }

      dynamic "env" {
        for_each = merge(local.environment, local.roles, local.heap)
        content {
          name  = env.key
          value = env.value
        }
      }

      dynamic "env" {
        for_each = var.secrets
        content {
          name = env.key
          value_source {
            secret_key_ref {
              secret  = env.value.secret
              version = env.value.version
            }
          }
        }
      }

      startup_probe {
        http_get {
          path = "/health"
        }
        period_seconds    = 1
        failure_threshold = 30
      }

      liveness_probe {
        http_get {
          path = "/health"
        }
        period_seconds    = 30
        failure_threshold = 3
      }
    }
  }

  depends_on = [google_project_service.needed, google_project_iam_member.documents, google_project_iam_member.model, google_secret_manager_secret_iam_member.read]
}

# For a backlog that the scheduled runs do not keep up with: any number of tasks share it.
resource "google_cloud_run_v2_job" "evalforge" {
  project             = var.project
  location            = var.region
  name                = "${var.name}-backlog"
  deletion_protection = var.deletion_protection

  template {
    task_count  = var.job_tasks
    parallelism = var.job_tasks

    template {
      service_account = google_service_account.runtime.email
      timeout         = "${var.batch_size * var.per_trace_timeout_sec + 300}s"
      max_retries     = 3

      containers {
        image = var.image
        args  = ["run", "-trigger", "manual"]

        resources {
          limits = {
            cpu    = "1"
            memory = "${local.job_memory_mib}Mi"
          }
        }

        dynamic "env" {
          for_each = merge(local.environment, local.job_heap)
          content {
            name  = env.key
            value = env.value
          }
        }

        dynamic "env" {
          for_each = var.secrets
          content {
            name = env.key
            value_source {
              secret_key_ref {
                secret  = env.value.secret
                version = env.value.version
              }
            }
          }
        }
      }
    }
  }

  depends_on = [google_project_service.needed, google_secret_manager_secret_iam_member.read]
}

resource "google_cloud_scheduler_job" "run" {
  project          = var.project
  region           = var.region
  name             = "${var.name}-run"
  description      = "Starts an extraction run"
  schedule         = var.schedule
  time_zone        = var.time_zone
  attempt_deadline = "${local.request_timeout + 30}s" # longer than the run's own limit, so that its answer arrives

  retry_config {
    retry_count          = 1
    min_backoff_duration = "30s"
  }

  http_target {
    http_method = "POST"
    uri         = "${google_cloud_run_v2_service.evalforge.uri}/extraction/run-once"
    headers     = { "Content-Type" = "application/json" }
    body        = base64encode(jsonencode({ batchSize = var.batch_size, triggeredBy = "scheduled" }))

    oidc_token {
      service_account_email = google_service_account.scheduler.email
      audience              = google_cloud_run_v2_service.evalforge.uri
    }
  }

  depends_on = [google_project_service.needed]
}
