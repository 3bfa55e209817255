# The image for every platform, with one command:
#
#   IMAGE=REGISTRY/swarmq:1 docker buildx bake -f docker/bake.hcl --push     one manifest, in a registry
#   docker buildx bake -f docker/bake.hcl each                               an image each on this machine: swarmq:1-amd64, ...
#   docker buildx bake -f docker/bake.hcl arm64                              one of them
#
# The first needs a builder that holds several platforms: `docker buildx create --use`, or Docker with the containerd image
# store. The others need BuildKit alone.

variable "IMAGE" {
  default = "swarmq:1"
}

# Told by the image's labels and, of each instance, by the page.
variable "VERSION" {
  default = "dev"
}

variable "REVISION" {
  default = "unknown"
}

group "default" {
  targets = ["image"]
}

target "image" {
  context    = "."
  dockerfile = "docker/Dockerfile"
  tags       = [IMAGE]
  platforms  = ["linux/amd64", "linux/arm64", "linux/arm/v7"]
  args = {
    VERSION  = VERSION
    REVISION = REVISION
  }
}

group "each" {
  targets = ["amd64", "arm64", "armv7"]
}

target "amd64" {
  inherits  = ["image"]
  tags      = ["${IMAGE}-amd64"]
  platforms = ["linux/amd64"]
}

target "arm64" {
  inherits  = ["image"]
  tags      = ["${IMAGE}-arm64"]
  platforms = ["linux/arm64"]
}

target "armv7" {
  inherits  = ["image"]
  tags      = ["${IMAGE}-armv7"]
  platforms = ["linux/arm/v7"]
}
