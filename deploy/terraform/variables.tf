variable "project" {
  description = "The Google Cloud project that everything is made in."
  type        = string
}

variable "region" {
  description = "The region of the service, the job and the scheduler."
  type        = string
  default     = "europe-west1"
}

variable "image" {
  description = "The container image, best by digest: REGION-docker.pkg.dev/PROJECT/evalforge/evalforge@sha256:…"
  type        = string
}

variable "name" {
  description = "The name of the service, and what the names of everything else begin with."
  type        = string
  default     = "evalforge"
}

variable "create_database" {
  description = "Whether to make the Firestore database. Set it to false where the ingestion service already has one."
  type        = bool
  default     = true
}

variable "database" {
  description = "The Firestore database."
  type        = string
  default     = "(default)"
}

variable "database_location" {
  description = "The location of a database that is made here, such as eur3 or nam5. It can never be changed."
  type        = string
  default     = "eur3"
}

variable "collection_prefix" {
  description = "What the names of the Firestore collections begin with. Every service on one backlog needs the same."
  type        = string
  default     = "evalforge_"
}

variable "model" {
  description = "The Gemini model. Successors take over when it is retired."
  type        = string
  default     = "gemini-2.5-flash"
}

variable "model_location" {
  description = "The Vertex AI location that the model is asked in."
  type        = string
  default     = "global"
}

variable "schedule" {
  description = "When a run is started, as cron says it."
  type        = string
  default     = "*/30 * * * *"
}

variable "time_zone" {
  description = "The time zone of the schedule."
  type        = string
  default     = "Etc/UTC"
}

variable "batch_size" {
  description = "How many traces a run picks up at most."
  type        = number
  default     = 50

  validation {
    condition     = var.batch_size >= 1 && var.batch_size <= 500
    error_message = "A batch has 1 to 500 traces."
  }
}

variable "per_trace_timeout_sec" {
  description = "How long the analysis of one trace may take, in seconds."
  type        = number
  default     = 15
}

variable "run_budget_usd" {
  description = "What one run may spend on the model, in US dollars."
  type        = number
  default     = 1
}

variable "daily_budget_usd" {
  description = "What all runs of one day (UTC) may spend on the model together, in US dollars."
  type        = number
  default     = 10
}

variable "viewers" {
  description = "Who may read patterns and runs: e-mail addresses of people and service accounts, not of groups: a caller's token does not name them."
  type        = list(string)
  default     = []

  validation {
    condition     = alltrue([for who in var.viewers : can(regex("^[^@:*\\s]+@[^@\\s]+$", who))])
    error_message = "Each is one e-mail address: IAM cannot bind a domain or a wildcard in this form."
  }
}

variable "operators" {
  description = "Who may also start runs, retry traces, extract again and import: e-mail addresses, not of groups."
  type        = list(string)
  default     = []

  validation {
    condition     = alltrue([for who in var.operators : can(regex("^[^@:*\\s]+@[^@\\s]+$", who))])
    error_message = "Each is one e-mail address: IAM cannot bind a domain or a wildcard in this form."
  }
}

variable "senders" {
  description = "Service accounts that may send traces over OTLP: e-mail addresses. With any, one instance is always on, since the spans of a trace are gathered in memory."
  type        = list(string)
  default     = []

  validation {
    condition     = alltrue([for who in var.senders : can(regex("^[^@:*\\s]+@[^@\\s]+$", who))])
    error_message = "Each is one e-mail address: IAM cannot bind a domain or a wildcard in this form."
  }
}

variable "job_tasks" {
  description = "How many tasks the job for large backlogs has. They share one backlog."
  type        = number
  default     = 4
}

variable "settings" {
  description = "Settings of docs/config.md that have no variable here, such as { EVALFORGE_CONCURRENCY = \"4\" }."
  type        = map(string)
  default     = {}
}

variable "secrets" {
  description = "Secret settings: names of variables, such as EVALFORGE_REDACTION_KEY, with the Secret Manager secret that each comes from."
  type        = map(object({ secret = string, version = string }))
  default     = {}
}

variable "billing_account" {
  description = "The billing account to watch, as 012345-6789AB-CDEF01. Without it no budget alert is made."
  type        = string
  default     = ""
}

variable "billing_currency" {
  description = "The currency of the billing account. Another one is refused."
  type        = string
  default     = "USD"
}

variable "monthly_budget_usd" {
  description = "What the project should cost a month at most, in US dollars, or else in billing_currency, before the budget alert tells."
  type        = number
  default     = 500
}

variable "alert_emails" {
  description = "Who is told of alerts."
  type        = list(string)
  default     = []
}

variable "deletion_protection" {
  description = "Whether Terraform refuses to delete the service, the job and the database."
  type        = bool
  default     = true
}
