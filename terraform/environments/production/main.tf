# Production: protected from deletion; raw is kept for ever, since a full refresh rebuilds only what raw still holds.
module "millrace" {
  source = "../../modules/platform"

  environment    = "production"
  project        = var.project
  region         = var.region
  location       = var.location
  contracts_path = "${path.root}/../../../dbt_project/models/raw"
  images         = var.images
  api_base_url   = var.api_base_url
  snapshot_uri   = var.snapshot_uri

  ingest_instances    = 2
  ingest_limits       = { cpu = "2", memory = "2Gi" }
  persistence_regions = [var.region]
}
