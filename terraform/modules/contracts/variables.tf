variable "path" {
  description = "Folder of the dbt source YAML: the contracts, declared once and read by every part."
  type        = string

  validation {
    condition     = length(fileset(var.path, "**/*.yml")) > 0
    error_message = "There is no .yml file below this folder; give the path of dbt_project/models/raw."
  }
}
