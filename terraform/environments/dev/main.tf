# Development: cheap, and free to be torn down.
module "millrace" {
  source = "../../modules/platform"

  environment    = "dev"
  project        = var.project
  region         = var.region
  location       = var.location
  contracts_path = "${path.root}/../../../dbt_project/models/raw"
  images         = var.images
  api_base_url   = var.api_base_url
  snapshot_uri   = var.snapshot_uri

  deletion_protection           = false
  raw_partition_expiration_days = 30
  message_retention_days        = 1
  pipeline_schedule             = "*/15 * * * *"
  schedules_paused              = true
}
