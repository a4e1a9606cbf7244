variable "project" {
  description = "Google Cloud project id."
  type        = string
}

variable "region" {
  description = "Region of Cloud Run, Cloud Scheduler and Artifact Registry."
  type        = string
  default     = "europe-west1"
}

variable "location" {
  description = "BigQuery location of every dataset; it cannot be changed later."
  type        = string
  default     = "EU"
}

variable "api_base_url" {
  description = "Base URL of the API that notifications point to."
  type        = string
}

variable "snapshot_uri" {
  description = "Where the snapshots for reconciliation lie: s3:// or gs://."
  type        = string
}

variable "images" {
  description = "Container images by digest; null on the first apply."
  type = object({
    ingest    = string
    pipeline  = string
    reconcile = string
  })
  default = null
}
