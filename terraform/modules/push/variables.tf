variable "project" {
  description = "Google Cloud project id."
  type        = string
}

variable "project_number" {
  description = "Number of that project; Pub/Sub's own service account carries it."
  type        = string
}

variable "region" {
  description = "Cloud Run region."
  type        = string
}

variable "name" {
  description = "Name of the service."
  type        = string
  default     = "millrace-ingest"
}

variable "image" {
  description = "Container image, by digest."
  type        = string

  validation {
    condition     = can(regex("@sha256:[0-9a-f]{64}$", var.image))
    error_message = "Name the image by its digest (…@sha256:…): a tag may mean another image tomorrow."
  }
}

variable "service_account_email" {
  description = "Account the ingester acts under."
  type        = string
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

variable "limits" {
  description = "CPU and memory of an instance."
  type = object({
    cpu    = string
    memory = string
  })
  default = { cpu = "1", memory = "1Gi" }
}

variable "env" {
  description = "Environment variables."
  type        = map(string)
  default     = {}
}

variable "secret_env" {
  description = "Environment variables that come from Secret Manager: secret id by variable."
  type        = map(string)
  default     = {}
}

variable "deletion_protection" {
  description = "Whether Terraform refuses to delete the service."
  type        = bool
  default     = true
}

variable "labels" {
  description = "Labels of the service."
  type        = map(string)
  default     = {}
}
