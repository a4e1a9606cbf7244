# Staging: production's settings at a smaller size; raw is kept for a quarter.
module "millrace" {
  source = "../../modules/platform"

  environment    = "staging"
  project        = var.project
  region         = var.region
  location       = var.location
  contracts_path = "${path.root}/../../../dbt_project/models/raw"
  images         = var.images
  api_base_url   = var.api_base_url
  snapshot_uri   = var.snapshot_uri

  raw_partition_expiration_days = 92
  persistence_regions           = [var.region]
}
