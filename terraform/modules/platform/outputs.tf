output "registry" {
  description = "Where images are pushed to."
  value       = "${var.region}-docker.pkg.dev/${var.project}/${google_artifact_registry_repository.images.repository_id}"
}

output "topics" {
  description = "Names of the ingested topics: Debezium and the applications publish to these."
  value       = module.stream.topics
}

output "subscriptions" {
  description = "Names of the ingester's subscriptions, by topic."
  value       = module.stream.subscriptions
}

output "dead_letter_subscription" {
  description = "Where dead letters wait to be looked at."
  value       = module.stream.dead_letter_subscription
}

output "datasets" {
  description = "Dataset ids by zone."
  value       = module.warehouse.datasets
}

output "raw_tables" {
  description = "Names of the raw tables."
  value       = module.warehouse.raw_tables
}

output "reconciliation_runs_uri" {
  description = "Where reconciliation keeps its runs: a folder each, with the parts, and the reports in `report`."
  value       = module.reconciliation.runs_uri
}

output "oversize_uri" {
  description = "Where the ingester keeps what fits no row: what `ingest dead-letters` needs as MILLRACE_INGEST_OVERSIZE_URI."
  value       = module.oversize.uri
}

output "secrets" {
  description = "Secrets that wait for a value, by the environment variable they become."
  value       = { for name, secret in google_secret_manager_secret.this : name => secret.secret_id }
}

output "grants" {
  description = "All that each deployable may do."
  value = {
    ingest    = module.ingest_identity.grants
    pipeline  = module.pipeline_identity.grants
    privacy   = module.privacy_identity.grants
    reconcile = module.reconcile_identity.grants
    scheduler = module.scheduler_identity.grants
  }
}

output "deployables" {
  description = "Names of what runs; empty until images are given."
  value       = concat(module.ingester[*].name, module.push[*].name, module.pipeline[*].name, module.reconcile[*].name, module.sweep[*].name, module.sources[*].name, module.erasures[*].name)
}
