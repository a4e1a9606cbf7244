variable "project" {
  description = "Google Cloud project id."
  type        = string
}

variable "name" {
  description = "Name of the bucket, unique in all of Google Cloud."
  type        = string

  validation {
    condition     = can(regex("^[a-z0-9][a-z0-9_-]{1,61}[a-z0-9]$", var.name))
    error_message = "A bucket's name is 3 to 63 lower-case letters, digits, hyphens and underscores."
  }
}

variable "location" {
  description = "Where the objects lie: the region of the job."
  type        = string
}

variable "expiration_days" {
  description = "After how many days the parts and the reports of a run are deleted; the audit dataset keeps its findings."
  type        = number
  default     = 30

  validation {
    condition     = var.expiration_days >= 2
    error_message = "Give at least two days: a run that is resumed must find its parts."
  }
}

variable "labels" {
  description = "Labels of the bucket."
  type        = map(string)
  default     = {}
}
