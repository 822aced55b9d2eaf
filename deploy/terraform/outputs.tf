output "url" {
  description = "Where the service is. People reach it through: gcloud run services proxy."
  value       = google_cloud_run_v2_service.evalforge.uri
}

output "runtime_service_account" {
  description = "The identity of the service."
  value       = google_service_account.runtime.email
}

output "scheduler_service_account" {
  description = "The identity that starts runs."
  value       = google_service_account.scheduler.email
}

output "backlog_job" {
  description = "The job for large backlogs: gcloud run jobs execute NAME."
  value       = google_cloud_run_v2_job.evalforge.name
}
