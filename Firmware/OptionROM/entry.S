# Where the sequestered core enters the image: from 32-bit mode to 64-bit mode with page tables, descriptor tables and
# stacks of its own, all in hidden memory, and on to Swift. Interrupts stay disabled for good: what the OS sends is refused
# (paper, Table 1, row "IDT"); what cannot be refused, an NMI, is counted and forgotten.
#
# GNU as, 32- and 64-bit x86.

.include "layout.inc"

.equ CODE64, 0x08
.equ DATA64, 0x10
.equ TASK,   0x18
.equ REPORT, HIDDEN_BASE + REPORT_OFFSET

.section .entry, "ax"
.code32
.globl entry
entry:
    cli
    cld
    movw $0x10, %ax                   # the trampoline's flat data segment
    movw %ax, %ds
    movw %ax, %es
    movw %ax, %ss
    movl $stackTop, %esp

    # Page tables: hidden memory in 2 MiB pages at its physical addresses, and nothing else, so that a mistake of the image
    # cannot reach the OS's memory. Memory of zeros was handed over, so absent entries need no work.
    movl $pageDirectoryPointers + 3, pageMap
    movl $pageDirectory + 3, pageDirectoryPointers + 8 * (HIDDEN_BASE >> 30)
    movl $HIDDEN_BASE + 0x83, %eax    # present, writable, 2 MiB
    movl $pageDirectory + 8 * (HIDDEN_BASE >> 21 & 511), %edi
    movl $HIDDEN_SIZE >> 21, %ecx
1:  movl %eax, (%edi)
    addl $0x200000, %eax
    addl $8, %edi
    loop 1b
    movl $pageMap, %eax
    movl %eax, %cr3

    movl %cr4, %eax
    orl $0x620, %eax                  # PAE, FXSR, SIMD exceptions
    movl %eax, %cr4
    movl $0xC0000080, %ecx            # EFER.LME
    rdmsr
    orl $0x100, %eax
    wrmsr
    movl %cr0, %eax
    andl $0x9FFFFFFB, %eax            # no emulation of the FPU, caches on
    orl $0x80010003, %eax             # paging, write protection, monitor coprocessor, protection
    movl %eax, %cr0
    lgdtl gdtPointer
    ljmpl $CODE64, $entry64

.code64
entry64:
    movw $DATA64, %ax
    movw %ax, %ds
    movw %ax, %es
    movw %ax, %ss
    xorl %eax, %eax
    movw %ax, %fs
    movw %ax, %gs
    movl $stackTop, %esp

    # The task state segment holds one thing that matters: the stack that every handler runs on.
    movl $taskState, %eax
    movw %ax, taskDescriptor + 2
    shrl $16, %eax
    movb %al, taskDescriptor + 4
    movb %ah, taskDescriptor + 7
    movl $handlerStackTop, %eax
    movq %rax, taskState + 36
    movw $TASK, %ax
    ltr %ax

    # 256 gates to 256 stubs of 16 bytes each.
    movl $stubs, %eax
    movl $idt, %edi
    movl $256, %ecx
1:  movw %ax, (%rdi)
    movw $CODE64, 2(%rdi)
    movw $0x8E01, 4(%rdi)             # present interrupt gate, stack 1
    movl %eax, %edx
    shrl $16, %edx
    movw %dx, 6(%rdi)
    addl $16, %eax
    addl $16, %edi
    loop 1b
    lidt idtPointer

    rdtsc                             # no two boots guard their stacks with the same value
    movl %eax, __stack_chk_guard + 4
    rorl $8, %eax
    movb $0, %al                      # a string cannot run over it
    movl %eax, __stack_chk_guard

    movl $REPORT, %edi
    movl $HIDDEN_BASE + WORK_OFFSET, %esi
    movl $HIDDEN_SIZE - WORK_OFFSET, %edx
    call allyImageMain
stop:
    cli
    hlt
    jmp stop

# --- Interrupts -----------------------------------------------------------------------------------------------------

.balign 16
stubs:
.set vector, 0
.rept 256
    .balign 16
    .if vector == 2
    jmp nonMaskable
    .elseif vector < 32
    pushq $vector
    jmp fault
    .else
    lock incq REPORT + REPORT_INTERRUPTS
    iretq
    .endif
    .set vector, vector + 1
.endr

.balign 16
nonMaskable:
    lock incq REPORT + REPORT_NMIS
    iretq

# An exception means that the image is broken: it says which, and the heartbeat stops.
fault:
    popq %rax
    incq %rax
    movq %rax, REPORT + REPORT_FAULT
    jmp stop

# --- What the compiler expects of its surroundings ------------------------------------------------------------------

.text
.globl memcpy, memmove, memset, memcmp, posix_memalign, free, __stack_chk_guard, __stack_chk_fail
memmove:
    movq %rdi, %rax
    movq %rdi, %rcx
    subq %rsi, %rcx
    cmpq %rdx, %rcx
    jae 1f                            # the destination does not begin inside the source
    leaq -1(%rdi, %rdx), %rdi
    leaq -1(%rsi, %rdx), %rsi
    movq %rdx, %rcx
    std
    rep movsb
    cld
    ret
memcpy:
    movq %rdi, %rax
1:  movq %rdx, %rcx
    rep movsb
    ret

memset:
    movq %rdi, %r8
    movl %esi, %eax
    movq %rdx, %rcx
    rep stosb
    movq %r8, %rax
    ret

memcmp:
    movq %rdx, %rcx
    xorl %eax, %eax                   # of no bytes: equal
    repe cmpsb
    je 1f
    sbbl %eax, %eax
    orl $1, %eax
1:  ret

# int posix_memalign(void **place, size_t alignment, size_t size): from a small arena, and counted, so that the report shows
# that nothing is allocated once the rings run.
posix_memalign:
    lock incq REPORT + REPORT_ALLOCATIONS
    movq arenaNext, %rax
    leaq -1(%rax, %rsi), %rax
    negq %rsi
    andq %rsi, %rax
    leaq (%rax, %rdx), %rcx
    cmpq $arenaEnd, %rcx
    ja 1f
    movq %rcx, arenaNext
    movq %rax, (%rdi)
    xorl %eax, %eax
    ret
1:  movl $12, %eax                    # ENOMEM
    ret

free:
    ret

# A function has written past its frame: an exception like any other mistake of the image.
__stack_chk_fail:
    ud2

# --- Tables ---------------------------------------------------------------------------------------------------------

.data
.balign 8
gdt:
    .quad 0, 0x00AF9A000000FFFF, 0x00CF92000000FFFF
taskDescriptor:
    .quad 0x0000890000000067, 0
gdtPointer:
    .word . - gdt - 1
    .long gdt
idtPointer:
    .word 256 * 16 - 1
    .quad idt
.balign 8
arenaNext: .quad arena
__stack_chk_guard: .quad 0

# The image's file ends before this; the ROM fills hidden memory with zeros first.
.bss
.balign 4096
pageMap:               .skip 4096
pageDirectoryPointers: .skip 4096
pageDirectory:         .skip 4096
idt:                   .skip 4096
arena:                 .skip 4096
arenaEnd:
taskState:             .skip 104
.balign 16
    .skip 8192
handlerStackTop:
    .skip 65536
stackTop:

.section .note.GNU-stack, "", @progbits
