variable "project" {
  description = "Google Cloud project id."
  type        = string
}

variable "region" {
  description = "Cloud Run region."
  type        = string
}

variable "name" {
  description = "Name of the worker pool."
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

variable "instances" {
  description = "Instances that run at all times. Subscribers share the messages; rows of a key keep their order."
  type        = number
  default     = 1

  validation {
    condition     = var.instances >= 0 && var.instances <= 100 && floor(var.instances) == var.instances
    error_message = "Give a whole number from 0 (paused) to 100."
  }
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
  description = "Whether Terraform refuses to delete the worker pool."
  type        = bool
  default     = true
}

variable "labels" {
  description = "Labels of the worker pool."
  type        = map(string)
  default     = {}
}
