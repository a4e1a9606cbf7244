variable "runtime" {
  description = "What everything on Cloud Run needs: the project and the region, the image by its digest, the account it acts under, CPU and memory, environment variables, those of them that come from Secret Manager (secret id by variable), whether Terraform refuses to delete it, and its labels."
  type = object({
    project               = string
    region                = string
    image                 = string
    service_account_email = string
    limits                = optional(object({ cpu = string, memory = string }), { cpu = "1", memory = "2Gi" })
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
  description = "Name of the job and of its schedule."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{3,48}[a-z0-9]$", var.name))
    error_message = "A job's name is 5 to 50 lower-case letters, digits and hyphens."
  }
}

variable "description" {
  description = "What the job does."
  type        = string
}

variable "args" {
  description = "Arguments of the image's command."
  type        = list(string)
}

variable "scheduler_service_account_email" {
  description = "Account under which Cloud Scheduler starts the job; it may start this job and nothing else."
  type        = string
}

variable "schedule" {
  description = "When it runs: cron, in UTC."
  type        = string

  validation {
    condition     = length(split(" ", var.schedule)) == 5
    error_message = "Give a cron expression of five fields, such as */5 * * * *."
  }
}

variable "paused" {
  description = "Whether the schedule rests; the job can still be started by hand."
  type        = bool
  default     = false
}

variable "timeout_seconds" {
  description = "After how long a run is ended."
  type        = number
  default     = 3600

  validation {
    condition     = var.timeout_seconds >= 60 && var.timeout_seconds <= 86400
    error_message = "Give 60 to 86400 seconds."
  }
}

variable "max_retries" {
  description = "How often a failed run is tried again at once; the next scheduled run comes anyway."
  type        = number
  default     = 0
}

variable "tasks" {
  description = "How many tasks share a run, all at once; each is told its place by CLOUD_RUN_TASK_INDEX and CLOUD_RUN_TASK_COUNT."
  type        = number
  default     = 1

  validation {
    condition     = var.tasks >= 1 && var.tasks <= 1000 && floor(var.tasks) == var.tasks
    error_message = "Give 1 to 1000 tasks."
  }
}
