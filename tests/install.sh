# Sourced by the scripts that test what needs a program: a browser, a Java runtime.

# Install a package of the distribution, or say what is needed where that cannot be done.
#   install_package PACKAGE WHAT_IS_NEEDED
install_package() {
    if ! command -v apt-get >/dev/null; then
        echo "$2" >&2
        exit 1
    fi
    local as_root=
    [[ $EUID == 0 ]] || as_root=sudo
    echo "installing $1"
    $as_root apt-get update --quiet=2
    $as_root apt-get install --yes --quiet=2 --no-install-recommends "$1"
}
