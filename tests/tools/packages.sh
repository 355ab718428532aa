# SPDX-License-Identifier: MIT
#
# shellcheck shell=bash
#
# packages.sh - sourced: installs what a script needs and the machine lacks.
#
#   need PACKAGE...    each is looked for by what it gives, not by its name, so that other
#                      systems than Debian do as well. What is missing is installed with
#                      apt-get by root or by sudo without a password; otherwise the
#                      packages are named and the script ends.

# Compiles a C program that is read from standard input, with these arguments.
try_compile() {
    "${CC:-gcc}" -x c - "$@" -o /dev/null >/dev/null 2>&1
}

# Whether what the package is wanted for is there.
have() {
    case $1 in
    libc6-dev) echo 'int main(void){return 0;}' | try_compile ;;
    libc6-dbg) command -v valgrind >/dev/null && valgrind -q /bin/true >/dev/null 2>&1 ;;
    libcmocka-dev)
        printf '#include <%s.h>\n' stdarg stddef stdint setjmp cmocka |
            sed '$a int main(void) { print_message("x"); return 0; }' | try_compile -lcmocka
        ;;
    libclang-rt-14-dev)
        echo 'int main(void){return 0;}' | CC=clang try_compile -fsanitize=address,undefined &&
            echo 'int main(void){return 0;}' | CC=clang try_compile -fsanitize=thread
        ;;
    llvm-19) command -v llvm-cov-19 >/dev/null ;;
    libclang-rt-19-dev)
        echo 'int main(void){return 0;}' | CC=clang-19 try_compile -fprofile-instr-generate
        ;;
    lib32gcc-12-dev | libc6-dev-i386) echo 'int main(void){return 0;}' | try_compile -m32 ;;
    libc6-dev-s390x-cross) echo 'int main(void){return 0;}' | CC=s390x-linux-gnu-gcc-12 try_compile ;;
    libc6-dev-arm64-cross) echo 'int main(void){return 0;}' | CC=aarch64-linux-gnu-gcc-12 try_compile ;;
    gcc-12-*-linux-gnu) command -v "${1#gcc-12-}-gcc-12" >/dev/null ;;
    qemu-user-static) command -v qemu-s390x-static >/dev/null ;;
    musl-tools) command -v musl-gcc >/dev/null ;;
    libtbb-dev)
        printf '#include <%s>\n' tbb/version.h tbb/flow_graph.h |
            sed '$a int main() { return 0; }' | g++ -x c++ - -ltbb -o /dev/null >/dev/null 2>&1
        ;;
    libgrpc-dev) pkg-config --exists grpc 2>/dev/null ;;
    libucx-dev) pkg-config --exists ucx 2>/dev/null ;;
    libomp-dev) echo 'int main(void){return 0;}' | CC=clang try_compile -fopenmp ;;
    libstarpu-dev) pkg-config --list-all | grep -q '^starpu-[0-9.]* ' ;;
    ocl-icd-libopencl1) { ldconfig -p || /sbin/ldconfig -p; } 2>/dev/null | grep -q 'libOpenCL\.so\.1' ;;
    pocl-opencl-icd) ls /etc/OpenCL/vendors/*.icd >/dev/null 2>&1 ;; # any driver will do
    binutils) command -v nm >/dev/null && command -v objcopy >/dev/null ;;
    *) command -v "$1" >/dev/null ;;
    esac
}

need() {
    local package missing="" as=""
    for package in "$@"; do
        have "$package" || missing="$missing $package"
    done
    [ -n "$missing" ] || return 0
    if ! command -v apt-get >/dev/null; then
        echo "missing:$missing (names of Debian packages); please install them" >&2
        exit 1
    fi
    if [ "$(id -u)" != 0 ]; then
        as="sudo -n"
        if ! sudo -n true 2>/dev/null; then
            echo "missing packages; please run: sudo apt-get install$missing" >&2
            exit 1
        fi
    fi
    echo "installing$missing" >&2
    {
        $as env DEBIAN_FRONTEND=noninteractive apt-get update -q &&
            $as env DEBIAN_FRONTEND=noninteractive \
                apt-get install -y -q --no-install-recommends $missing
    } >&2 || {
        echo "apt-get could not install$missing" >&2
        exit 1
    }
}
