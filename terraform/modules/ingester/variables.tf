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

variable "name" {
  description = "Name of the worker pool."
  type        = string
  default     = "millrace-ingest"
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
