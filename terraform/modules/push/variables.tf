variable "runtime" {
  description = "What everything on Cloud Run needs: the project and the region, the image by its digest, the account it acts under, CPU and memory, environment variables, those of them that come from Secret Manager (secret id by variable), whether Terraform refuses to delete it, and its labels."
  type = object({
    project               = string
    region                = string
    image                 = string
    service_account_email = string
    limits                = optional(object({ cpu = string, memory = string }), { cpu = "1", memory = "1Gi" })
    env                   = optional(map(string), {})
    secret_env            = optional(map(string), {})
    deletion_protection   = optional(bool, true)
    labels                = optional(map(string), {})
  })

  validation {
    condition     = can(regex("@sha256:[0-9a-f]{64}$", var.runtime.image))
    error_message = "Name the image by its digest (…@sha256:…): a tag may mean another image tomorrow."
  }
}

variable "project" {
  description = "Google Cloud project id, once more: Pub/Sub's account is made before the subscriptions that name it, and those before the account that `runtime` names."
  type        = string
}

variable "project_number" {
  description = "Number of that project; Pub/Sub's own service account carries it."
  type        = string
}

variable "name" {
  description = "Name of the service."
  type        = string
  default     = "millrace-ingest"
}

variable "push_account_id" {
  description = "Account that Pub/Sub signs its requests as."
  type        = string
  default     = "millrace-push"
}

variable "audience" {
  description = "Audience of Pub/Sub's tokens; the subscriptions' oidc_token must have the same."
  type        = string
  default     = "millrace-ingest"
}

variable "instances" {
  description = "Fewest and most instances."
  type = object({
    minimum = number
    maximum = number
  })
  default = { minimum = 1, maximum = 10 }

  validation {
    condition     = var.instances.minimum >= 0 && var.instances.minimum <= var.instances.maximum && var.instances.maximum <= 100
    error_message = "Give at most 100 instances, and no higher minimum than maximum."
  }
}

variable "concurrency" {
  description = "Requests that an instance holds at once: each is a message that waits for its row."
  type        = number
  default     = 500

  validation {
    condition     = var.concurrency >= 1 && var.concurrency <= 1000
    error_message = "Cloud Run takes 1 to 1000."
  }
}

variable "request_timeout_seconds" {
  description = "How long a request may take; the ingester answers within 50 seconds."
  type        = number
  default     = 60
}
