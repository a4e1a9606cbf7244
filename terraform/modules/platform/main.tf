locals {
  labels = {
    application = "millrace"
    environment = var.environment
    managed-by  = "terraform"
  }

  # The address of a Cloud Run service is known before the service is made: name, project number, region.
  ingest_name = "millrace-ingest"
  is_pushed   = var.ingest_delivery == "push" && local.deployed

  services = toset([
    "artifactregistry.googleapis.com",
    "bigquery.googleapis.com",
    "bigquerystorage.googleapis.com",
    "cloudscheduler.googleapis.com",
    "pubsub.googleapis.com",
    "run.googleapis.com",
    "secretmanager.googleapis.com",
    "storage.googleapis.com",
  ])
}

data "google_project" "this" {
  project_id = var.project
}

resource "google_project_service" "this" {
  for_each = local.services

  project            = var.project
  service            = each.value
  disable_on_destroy = false
}

module "contracts" {
  source = "../contracts"

  path = var.contracts_path
}

module "stream" {
  source = "../stream"

  project                = var.project
  project_number         = data.google_project.this.number
  topics                 = setunion(values(module.contracts.table_topics), module.contracts.notification_topics)
  message_retention_days = var.message_retention_days
  topic_retention_days   = var.topic_retention_days
  persistence_regions    = var.persistence_regions
  labels                 = local.labels

  push = local.is_pushed ? {
    endpoint              = "https://${local.ingest_name}-${data.google_project.this.number}.${var.region}.run.app/push"
    service_account_email = module.push[0].push_account_email
    audience              = local.ingest_name
  } : null

  depends_on = [google_project_service.this]
}

module "warehouse" {
  source = "../warehouse"

  project                       = var.project
  location                      = var.location
  raw_tables                    = module.contracts.tables
  raw_partition_expiration_days = var.raw_partition_expiration_days
  require_partition_filter      = var.require_partition_filter
  deletion_protection           = var.deletion_protection
  labels                        = local.labels

  depends_on = [google_project_service.this]
}

# A project's id is unique in all of Google Cloud, so a bucket named after it is its own.
module "oversize" {
  source = "../oversize"

  project             = var.project
  name                = "${var.project}-millrace-oversize"
  location            = var.location
  row_expiration_days = module.warehouse.longest_raw_expiration_days
  deletion_protection = var.deletion_protection
  labels              = local.labels

  depends_on = [google_project_service.this]
}

module "reconciliation" {
  source = "../reconciliation"

  project  = var.project
  name     = "${var.project}-millrace-reconcile"
  location = var.region
  labels   = local.labels

  depends_on = [google_project_service.this]
}

resource "google_artifact_registry_repository" "images" {
  project       = var.project
  location      = var.region
  repository_id = "millrace"
  description   = "Images of the ingester, the pipeline and reconciliation."
  format        = "DOCKER"
  labels        = local.labels

  docker_config {
    immutable_tags = true
  }

  cleanup_policies {
    id     = "keep-recent"
    action = "KEEP"

    most_recent_versions {
      keep_count = 20
    }
  }

  cleanup_policies {
    id     = "delete-old"
    action = "DELETE"

    condition {
      older_than = "7776000s"
    }
  }

  depends_on = [google_project_service.this]
}
