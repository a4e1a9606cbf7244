# The right to erasure: the one account besides the ingester's that may write raw, and the job that keeps the erased out.

variable "erasures_schedule" {
  description = "When what has landed again of erased members is deleted: cron, in UTC."
  type        = string
  default     = "45 2 * * *"
}

module "privacy_identity" {
  source = "../identity"

  project       = var.project
  account_id    = "millrace-privacy"
  description   = "Erases members from every zone, for good; loads the key of hashes."
  project_roles = ["roles/bigquery.jobUser"]
  dataset_roles = { for dataset in values(module.warehouse.datasets) : dataset => "roles/bigquery.dataEditor" }
}

module "privacy" {
  source = "../privacy"

  project             = var.project
  location            = var.location
  key_writer          = "serviceAccount:${module.privacy_identity.email}"
  key_readers         = { pipeline = "serviceAccount:${module.pipeline_identity.email}" }
  deletion_protection = var.deletion_protection
  labels              = local.labels

  depends_on = [google_project_service.this]
}

# Raw is at least once and can be replayed: the rows of somebody who was erased may land again.
module "erasures" {
  source = "../job"
  count  = local.deployed ? 1 : 0

  name                            = "millrace-erasures"
  description                     = "Deletes what has landed again of members who were erased."
  args                            = ["privacy", "enforce", "--json"]
  scheduler_service_account_email = module.scheduler_identity.email
  schedule                        = var.erasures_schedule
  paused                          = var.schedules_paused
  timeout_seconds                 = 3600
  runtime                         = merge(local.pipeline_runtime, { service_account_email = module.privacy_identity.email })
}

output "key_grants" {
  description = "Who may do what with the key of hashes."
  value       = module.privacy.grants
}
