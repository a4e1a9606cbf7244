variable "project" {
  description = "Google Cloud project id."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{4,28}[a-z0-9]$", var.project))
    error_message = "A project id is 6 to 30 lower-case letters, digits and hyphens."
  }
}

variable "environment" {
  description = "Which environment this is; MILLRACE_ENVIRONMENT and the dbt target."
  type        = string

  validation {
    condition     = contains(["dev", "staging", "production"], var.environment)
    error_message = "Give dev, staging or production."
  }
}

variable "region" {
  description = "Region of Cloud Run, Cloud Scheduler and Artifact Registry."
  type        = string

  validation {
    condition     = can(regex("^[a-z]+-[a-z]+[0-9]+$", var.region))
    error_message = "Give a region such as europe-west1."
  }
}

variable "location" {
  description = "BigQuery location of every dataset; it cannot be changed later."
  type        = string
}

variable "contracts_path" {
  description = "Folder of the dbt source YAML."
  type        = string
}

variable "images" {
  description = "Container images by digest. Null makes everything but the deployables: the first apply, before there is a registry to push to."
  type = object({
    ingest    = string
    pipeline  = string
    reconcile = string
  })
  default = null
}

variable "api_base_url" {
  description = "Base URL of the API that notifications point to."
  type        = string

  validation {
    condition     = startswith(var.api_base_url, "https://")
    error_message = "The API is reached over https only: the bearer token travels with every request."
  }
}

variable "snapshot_uri" {
  description = "Where the snapshots for reconciliation lie."
  type        = string

  validation {
    condition     = can(regex("^(s3|gs)://[a-z0-9][a-z0-9._-]+", var.snapshot_uri))
    error_message = "Give an s3:// or gs:// address."
  }
}

variable "aws_region" {
  description = "Region of the S3 bucket; only for an s3:// snapshot_uri."
  type        = string
  default     = "eu-west-1"
}

variable "ingest_instances" {
  description = "Instances of the ingester that run at all times."
  type        = number
  default     = 1
}

variable "ingest_delivery" {
  description = "How messages reach the ingester: it pulls them (a worker pool), or Pub/Sub pushes them (a service)."
  type        = string
  default     = "pull"

  validation {
    condition     = contains(["pull", "push"], var.ingest_delivery)
    error_message = "Give pull or push."
  }
}

variable "ingest_limits" {
  description = "CPU and memory of an ingester."
  type = object({
    cpu    = string
    memory = string
  })
  default = { cpu = "1", memory = "1Gi" }
}

variable "pipeline_schedule" {
  description = "When the zones are built: cron, in UTC."
  type        = string
  default     = "*/5 * * * *"
}

variable "sweep_schedule" {
  description = "When structure reads two days of raw again: cron, in UTC."
  type        = string
  default     = "15 3 * * *"
}

variable "sources_schedule" {
  description = "When the rules of the sources and their freshness are asked: cron, in UTC."
  type        = string
  default     = "45 5 * * *"
}

variable "reconcile_schedule" {
  description = "When the warehouse is held against the snapshots: cron, in UTC."
  type        = string
  default     = "30 4 * * *"
}

variable "reconcile_tasks" {
  description = "How many tasks share a reconciliation; docs/design/scale.md says how many a size takes."
  type        = number
  default     = 1
}

variable "schedules_paused" {
  description = "Whether all schedules rest."
  type        = bool
  default     = false
}

variable "raw_partition_expiration_days" {
  description = "After how many days raw partitions are dropped, but none before its contract's retention_days; null keeps them, so that a full refresh loses nothing."
  type        = number
  default     = null
}

variable "require_partition_filter" {
  description = "Whether a query on a raw table must name its partitions."
  type        = bool
  default     = false
}

variable "message_retention_days" {
  description = "The longest outage of the ingester without loss."
  type        = number
  default     = 7
}

variable "topic_retention_days" {
  description = "How many days `ingest replay` can reach back; 0 for none."
  type        = number
  default     = 0
}

variable "persistence_regions" {
  description = "Regions in which messages may be stored; empty leaves it to the organisation's policy."
  type        = list(string)
  default     = []
}

variable "deletion_protection" {
  description = "Whether Terraform refuses to delete what holds data or serves it."
  type        = bool
  default     = true
}

variable "lineage_env" {
  description = "Where the pipeline sends the lineage of its builds: OPENLINEAGE_ variables, as docs/guides/lineage.md has them. Empty sends none."
  type        = map(string)
  default     = {}

  validation {
    condition     = alltrue([for name in keys(var.lineage_env) : startswith(name, "OPENLINEAGE_") && !can(regex("KEY|TOKEN|SECRET|AUTH", name))])
    error_message = "Only variables of OpenLineage, and none that is a secret: it would stand in Terraform's state."
  }
}
