# One account per deployable, each with the least it can work with. With privacy.tf this file is the whole of who may do what.

module "ingest_identity" {
  source = "../identity"

  project        = var.project
  account_id     = "millrace-ingest"
  description    = "Pulls change events, appends them to the raw tables, keeps dead letters."
  subscriptions  = local.is_pushed ? {} : module.stream.subscriptions
  publish_topics = { dead_letters = module.stream.dead_letter_topic }
  secrets        = { for name in keys(local.ingest_secrets) : name => google_secret_manager_secret.this[name].secret_id }

  # The same row may come twice, and its object is then written over: a creator alone may not do that.
  bucket_roles = { (module.oversize.bucket) = "roles/storage.objectUser" }

  dataset_roles = {
    (module.warehouse.datasets["raw"])   = "roles/bigquery.dataEditor"
    (module.warehouse.datasets["audit"]) = "roles/bigquery.dataEditor"
  }
}

module "pipeline_identity" {
  source = "../identity"

  project       = var.project
  account_id    = "millrace-pipeline"
  description   = "Builds the zones with dbt; reads raw, never writes it."
  project_roles = ["roles/bigquery.jobUser"]

  # After each build it reads in INFORMATION_SCHEMA.JOBS_BY_USER how the rows of its merges divide, for audit.model_runs.
  project_permissions = ["bigquery.jobs.list"]

  dataset_roles = {
    (module.warehouse.datasets["raw"])       = "roles/bigquery.dataViewer"
    (module.warehouse.datasets["structure"]) = "roles/bigquery.dataEditor"
    (module.warehouse.datasets["snapshots"]) = "roles/bigquery.dataEditor"
    (module.warehouse.datasets["refined"])   = "roles/bigquery.dataEditor"
    (module.warehouse.datasets["analytics"]) = "roles/bigquery.dataEditor"
    (module.warehouse.datasets["audit"])     = "roles/bigquery.dataEditor"
  }
}

module "reconcile_identity" {
  source = "../identity"

  project       = var.project
  account_id    = "millrace-reconcile"
  description   = "Holds the warehouse against the snapshots; writes only its findings."
  project_roles = ["roles/bigquery.jobUser", "roles/bigquery.readSessionUser"]
  secrets       = { for name in keys(local.reconcile_secrets) : name => google_secret_manager_secret.this[name].secret_id }

  # A part that is made again is written over, which a creator alone may not do.
  bucket_roles = { (module.reconciliation.bucket) = "roles/storage.objectUser" }

  dataset_roles = {
    (module.warehouse.datasets["raw"])       = "roles/bigquery.dataViewer"
    (module.warehouse.datasets["structure"]) = "roles/bigquery.dataViewer"
    (module.warehouse.datasets["audit"])     = "roles/bigquery.dataEditor"
  }
}

# Holds no role here; each job lets it start that job.
module "scheduler_identity" {
  source = "../identity"

  project     = var.project
  account_id  = "millrace-scheduler"
  description = "Starts the jobs on their schedules."
}
