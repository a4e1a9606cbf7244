variable "project" {
  description = "Google Cloud project id."
  type        = string
}

variable "account_id" {
  description = "Name of the service account."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{4,28}[a-z0-9]$", var.account_id))
    error_message = "A service account's name is 6 to 30 lower-case letters, digits and hyphens."
  }
}

variable "description" {
  description = "What acts under this account."
  type        = string
}

variable "project_roles" {
  description = "Roles on the whole project; only those that BigQuery cannot grant on less."
  type        = set(string)
  default     = []

  validation {
    condition     = alltrue([for role in var.project_roles : contains(["roles/bigquery.jobUser", "roles/bigquery.readSessionUser"], role)])
    error_message = "Only roles/bigquery.jobUser and roles/bigquery.readSessionUser may span the project."
  }
}

variable "project_permissions" {
  description = "Single permissions on the whole project, of which no role holds so little; they make a role of the account's own."
  type        = set(string)
  default     = []

  validation {
    condition     = alltrue([for permission in var.project_permissions : contains(["bigquery.jobs.list"], permission)])
    error_message = "Only bigquery.jobs.list may span the project: it lets an account read in INFORMATION_SCHEMA what its own jobs did."
  }
}

variable "dataset_roles" {
  description = "Role on each dataset the account may touch, by dataset id."
  type        = map(string)
  default     = {}

  validation {
    condition     = alltrue([for role in values(var.dataset_roles) : contains(["roles/bigquery.dataViewer", "roles/bigquery.dataEditor"], role)])
    error_message = "A dataset is read (roles/bigquery.dataViewer) or written (roles/bigquery.dataEditor), not administered."
  }
}

variable "subscriptions" {
  description = "Subscriptions the account pulls from, under keys of your choice."
  type        = map(string)
  default     = {}
}

variable "publish_topics" {
  description = "Topics the account publishes to, under keys of your choice."
  type        = map(string)
  default     = {}
}

variable "bucket_roles" {
  description = "Role on each bucket the account may touch, by bucket."
  type        = map(string)
  default     = {}

  validation {
    condition     = alltrue([for role in values(var.bucket_roles) : contains(["roles/storage.objectViewer", "roles/storage.objectUser"], role)])
    error_message = "Objects are read (roles/storage.objectViewer) or written (roles/storage.objectUser); the bucket is not administered."
  }
}

variable "secrets" {
  description = "Secrets the account reads, under keys of your choice."
  type        = map(string)
  default     = {}
}
