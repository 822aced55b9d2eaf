# Two identities, neither with more rights than it uses: the service's own, and the scheduler's, which may do nothing
# but call the service.

resource "google_service_account" "runtime" {
  project      = var.project
  account_id   = "${var.name}-runtime"
  display_name = "EvalForge: reads traces, asks the model, writes patterns"

  depends_on = [google_project_service.needed]
}

resource "google_service_account" "scheduler" {
  project      = var.project
  account_id   = "${var.name}-scheduler"
  display_name = "EvalForge: starts runs"

  depends_on = [google_project_service.needed]
}

resource "google_project_iam_member" "documents" {
  project = var.project
  role    = "roles/datastore.user"
  member  = google_service_account.runtime.member

  condition {
    title       = "only the database of EvalForge"
    description = "Other databases of the project stay out of reach."
    expression  = "resource.name == \"projects/${var.project}/databases/${var.database}\""
  }
}

# roles/aiplatform.user allows far more than asking a model.
resource "google_project_iam_custom_role" "ask" {
  project     = var.project
  role_id     = replace("${var.name}_ask_model", "-", "_")
  title       = "EvalForge: ask a model"
  permissions = ["aiplatform.endpoints.predict"]

  depends_on = [google_project_service.needed]
}

resource "google_project_iam_member" "model" {
  project = var.project
  role    = google_project_iam_custom_role.ask.id
  member  = google_service_account.runtime.member
}

resource "google_secret_manager_secret_iam_member" "read" {
  for_each = toset([for s in var.secrets : s.secret])

  project   = var.project
  secret_id = each.value
  role      = "roles/secretmanager.secretAccessor"
  member    = google_service_account.runtime.member
}

# Everyone who is to pass Cloud Run's own check. What they may do then is said by the service's settings.
resource "google_cloud_run_v2_service_iam_member" "call" {
  for_each = merge(
    { scheduler = google_service_account.scheduler.member },
    { for who in setunion(var.viewers, var.operators, var.senders) : who => (endswith(who, ".gserviceaccount.com") ? "serviceAccount:${who}" : "user:${who}") },
  )

  project  = var.project
  location = var.region
  name     = google_cloud_run_v2_service.evalforge.name
  role     = "roles/run.invoker"
  member   = each.value
}

# Google makes the account of the uptime check with the first check that needs one.
resource "google_cloud_run_v2_service_iam_member" "uptime" {
  project  = var.project
  location = var.region
  name     = google_cloud_run_v2_service.evalforge.name
  role     = "roles/run.invoker"
  member   = "serviceAccount:service-${data.google_project.this.number}@gcp-sa-monitoring-notification.iam.gserviceaccount.com"

  depends_on = [google_monitoring_uptime_check_config.health]
}
