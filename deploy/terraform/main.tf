# EvalForge on Google Cloud: a Cloud Run service that Cloud Scheduler calls, a job for large backlogs, and the
# Firestore database with its indexes. docs/operations.md says how to use it.

locals {
  # A run ends early enough to answer; this is how long it gets. Cloud Scheduler waits 30 minutes at most.
  request_timeout = min(1740, max(300, var.batch_size * var.per_trace_timeout_sec + 60))

  otlp = length(var.senders) > 0

  # What is not Go's heap has the rest of the memory.
  memory_mib     = local.otlp ? 1024 : 512
  job_memory_mib = 512
  heap           = { GOMEMLIMIT = "${floor(local.memory_mib * 0.9)}MiB" }
  job_heap       = { GOMEMLIMIT = "${floor(local.job_memory_mib * 0.9)}MiB" }

  environment = merge(var.settings, {
    GOOGLE_CLOUD_PROJECT        = var.project
    GOOGLE_GENAI_USE_VERTEXAI   = "true"
    VERTEX_AI_LOCATION          = var.model_location
    GEMINI_MODEL                = var.model
    EVALFORGE_STORE             = "firestore:${var.project}/${var.database}"
    FIRESTORE_COLLECTION_PREFIX = var.collection_prefix
    EVALFORGE_ANALYZER          = "gemini"
    BATCH_SIZE                  = tostring(var.batch_size)
    PER_TRACE_TIMEOUT_SEC       = tostring(var.per_trace_timeout_sec)
    EVALFORGE_RUN_BUDGET_USD    = tostring(var.run_budget_usd)
    EVALFORGE_DAILY_BUDGET_USD  = tostring(var.daily_budget_usd)
    EVALFORGE_REQUEST_TIMEOUT   = "${local.request_timeout}s"
    EVALFORGE_LOG_LEVEL         = "info"
  })

  # Who may do what. Cloud Run checks that a caller may call at all, the service what.
  roles = {
    EVALFORGE_AUTH      = "iam"
    EVALFORGE_INVOKERS  = join(",", concat([google_service_account.scheduler.email], var.operators))
    EVALFORGE_VIEWERS   = join(",", var.viewers)
    EVALFORGE_OPERATORS = join(",", var.operators)
    EVALFORGE_SENDERS   = join(",", var.senders)
  }
}

resource "google_project_service" "needed" {
  for_each = toset([
    "aiplatform.googleapis.com",
    "billingbudgets.googleapis.com",
    "cloudscheduler.googleapis.com",
    "firestore.googleapis.com",
    "firebaserules.googleapis.com",
    "iam.googleapis.com",
    "monitoring.googleapis.com",
    "run.googleapis.com",
    "secretmanager.googleapis.com",
  ])

  project            = var.project
  service            = each.value
  disable_on_destroy = false
}

data "google_project" "this" {
  project_id = var.project
}
